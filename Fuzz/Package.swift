// swift-tools-version: 6.2
import PackageDescription

// The fuzzer, a package of its own so that nobody else's build is slowed: the readers of the project, compiled once
// more with coverage counters and AddressSanitizer, and one program that runs them. `Project` is a link to the
// project's sources. cluster/testbed/fuzz.sh builds and runs it.

let swift: [SwiftSetting] = [.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])]
let c: [CSetting] = [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])]

let package = Package(
  name: "fuzz",
  dependencies: [
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2")
  ],
  targets: [
    .systemLibrary(name: "CZeroMQ", path: "Project/CZeroMQ"),
    .systemLibrary(name: "CPCRE2", path: "Project/CPCRE2", pkgConfig: "libpcre2-8"),
    .systemLibrary(name: "CZlib", path: "Project/CZlib"),
    .systemLibrary(name: "COpenSSL", path: "Project/COpenSSL"),
    .target(name: "Digests", dependencies: ["COpenSSL"], path: "Project/Digests", swiftSettings: swift),
    .target(name: "Kernels", path: "Project/Kernels", cSettings: c),
    .target(name: "Files", dependencies: ["Digests"], path: "Project/Files", swiftSettings: swift),
    .target(name: "JSON", path: "Project/JSON", swiftSettings: swift),
    .target(
      name: "Randomness", dependencies: ["Kernels"], path: "Project/Randomness", swiftSettings: swift),
    .target(name: "Tensors", dependencies: ["Kernels"], path: "Project/Tensors", swiftSettings: swift),
    .target(
      name: "LanguageModel",
      dependencies: ["Tensors", "Kernels", "Randomness", "Files", "JSON", "CPCRE2"],
      path: "Project/LanguageModel", swiftSettings: swift),
    .target(
      name: "GGUF", dependencies: ["LanguageModel", "Kernels", "Files", "JSON"], path: "Project/GGUF",
      swiftSettings: swift),
    .target(
      name: "NestedLearning",
      dependencies: ["Kernels", "Randomness", "JSON", .product(name: "Yams", package: "Yams")],
      path: "Project/NestedLearning", swiftSettings: swift),
    .target(
      name: "ChatTemplate", dependencies: ["Files", "JSON"], path: "Project/ChatTemplate",
      swiftSettings: swift),
    .target(
      name: "Dataset",
      dependencies: [
        "ChatTemplate", "NestedLearning", "LanguageModel", "Kernels", "Randomness", "Files", "Digests",
        "JSON", "CZlib",
      ],
      path: "Project/Dataset", swiftSettings: swift),
    .target(
      name: "WireProtocol",
      dependencies: ["Digests", "JSON", "Kernels"], path: "Project/WireProtocol", exclude: ["PROTOCOL.md"],
      swiftSettings: swift),
    .target(
      name: "Transport", dependencies: ["CZeroMQ", "Digests", "WireProtocol"], path: "Project/Transport",
      swiftSettings: swift),
    // Of the service only what reads key files.
    .target(name: "Service", dependencies: ["Transport", "Files"], swiftSettings: swift),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "WireProtocol", "NestedLearning", "LanguageModel", "GGUF", "Dataset", "ChatTemplate", "Transport",
        "Service",
        "Digests",
        "JSON",
        "Kernels",
      ],
      swiftSettings: swift, linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
  ],
  swiftLanguageModes: [.v6]
)
