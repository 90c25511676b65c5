// swift-tools-version: 6.2
import PackageDescription

// Homebrew's headers lie where only pkg-config knows; on Linux the compiler finds them by itself, and libzmq's file
// has a flag that SwiftPM warns about.
#if os(macOS)
  let zeroMQ: String? = "libzmq"
  let openSSL: String? = "libcrypto"
#else
  let zeroMQ: String? = nil
  let openSSL: String? = nil
#endif

// Tests that compute little themselves are compiled as they stand, in a third of the time; what they test is optimised
// as ever.
let asTheyStand: [SwiftSetting] = [.unsafeFlags(["-Onone"])]

let package = Package(
  name: "nested-learning",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "nl-coord", targets: ["nl-coord"]),
    .executable(name: "nl-worker", targets: ["nl-worker"]),
    .executable(name: "nl-tool", targets: ["nl-tool"]),
    .library(name: "NestedLearning", targets: ["NestedLearning", "NestedLoRA", "LanguageModel", "Tensors"]),
  ],
  dependencies: [
    // Command lines: help, typed flags, exit codes.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // The one logging interface that Swift servers share.
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    // HTTP for health, metrics and what is to come: the server that Swift's own server community keeps. Without its
    // traits it does not build swift-configuration.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    // The interfaces that Swift servers share for counting, and for starting and ending services.
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    // The ledger: SQLite with migrations and transactions.
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    // Configs in YAML, with the line of every key.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(
      name: "CZeroMQ", pkgConfig: zeroMQ, providers: [.apt(["libzmq3-dev"]), .brew(["zeromq"])]),
    .systemLibrary(
      name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"]), .brew(["pcre2"])]),
    // gzip. It is on every Linux, and Hummingbird needs it too.
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
      name: "COpenSSL", pkgConfig: openSSL, providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
    .target(name: "Kernels"),
    // SHA-256 of models, tensors and snapshots, by the system's OpenSSL: it uses the processor's own instructions, and
    // a BoringSSL of our own would take a fifth of the build.
    .target(name: "Digests", dependencies: ["COpenSSL"]),
    // Durable writes, mapped files, folders, locks, digests of files.
    .target(name: "Files", dependencies: ["Digests"]),
    .target(name: "JSON"),
    // Counter-based random numbers.
    .target(name: "Randomness", dependencies: ["Kernels"]),
    .target(name: "ChatTemplate", dependencies: ["Files", "JSON"]),
    .target(name: "Tensors", dependencies: ["Kernels"]),
    .target(
      name: "LanguageModel", dependencies: ["Tensors", "Kernels", "Randomness", "Files", "JSON", "CPCRE2"]),
    // Models of llama.cpp: into folders in Hugging Face's layout and back.
    .target(name: "GGUF", dependencies: ["LanguageModel", "Kernels", "Files", "JSON"]),
    .target(
      name: "NestedLearning",
      dependencies: ["Kernels", "Randomness", "JSON", .product(name: "Yams", package: "Yams")]),
    .target(
      name: "Dataset",
      dependencies: [
        "ChatTemplate", "NestedLearning", "LanguageModel", "Kernels", "Randomness", "Files", "Digests",
        "JSON",
        "CZlib",
      ]),
    .target(
      name: "WireProtocol", dependencies: ["Digests", "JSON", "Kernels"], exclude: ["PROTOCOL.md"]),
    .target(
      name: "Coordination", dependencies: ["Digests", "WireProtocol", "NestedLearning", "Randomness", "JSON"]),
    .target(
      name: "Training", dependencies: ["Digests", "Coordination", "WireProtocol", "NestedLearning", "JSON"]),
    .target(
      name: "Ledger", dependencies: ["Files", "JSON", .product(name: "GRDB", package: "GRDB.swift")],
      exclude: ["SCHEMA.md"]),
    .target(name: "Transport", dependencies: ["CZeroMQ", "Digests", "WireProtocol"]),
    .target(
      name: "Observability",
      dependencies: [
        "JSON", .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ]),
    // Nothing below the service and the programs needs it, so that it is built beside them.
    .target(
      name: "HTTPServer",
      dependencies: [
        "Observability", .product(name: "Logging", package: "swift-log"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    .target(
      name: "Service",
      dependencies: [
        "Observability", "Transport", "Ledger", "Training", "Coordination", "WireProtocol", "Dataset",
        "ChatTemplate",
        "NestedLearning",
        "LanguageModel", "GGUF", "Tensors", "Kernels", "Randomness", "Files", "Digests", "JSON",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ]),
    // Makes the files of the page a part of the program.
    .plugin(
      name: "EmbedFiles", capability: .buildTool(), dependencies: ["embed-files"], path: "Sources/EmbedFiles"),
    .executableTarget(name: "embed-files"),
    // The service: a web page, an HTTP API and events over the runs of one fleet. The page is within the program.
    .target(
      name: "WebService",
      dependencies: [
        "Service", "HTTPServer", "Observability", "Ledger", "Dataset", "NestedLearning", "Coordination",
        "Files",
        "Digests", "JSON",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      plugins: ["EmbedFiles"]),
    // The trainer for programs of others: all of a run in one process.
    .target(
      name: "NestedLoRA",
      dependencies: ["Service", "Training", "WireProtocol", "NestedLearning", "LanguageModel"]),
    // What `nl-tool bench` measures.
    .target(
      name: "Benchmarks",
      dependencies: [
        "Service", "Observability", "Transport", "Ledger", "Training", "Coordination", "WireProtocol",
        "NestedLearning", "LanguageModel", "Tensors", "Kernels", "Randomness", "Files", "Digests", "JSON",
        .product(name: "Logging", package: "swift-log"),
      ]),
    // What the programs' command lines have in common.
    .target(
      name: "ProgramFlags",
      dependencies: [
        "Service", "HTTPServer", "Observability", "NestedLearning", "Files", "JSON",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(
      name: "Simulation",
      dependencies: [
        "Service", "Observability", "Training", "Coordination", "WireProtocol", "Transport", "Ledger",
        "Files",
        "NestedLearning", "Digests", "JSON", .product(name: "Logging", package: "swift-log"),
        // SQLite's own interface, for a simulated volume below it.
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ]),
    .executableTarget(
      name: "nl-coord",
      dependencies: [
        "JSON", "NestedLearning", "WebService", "Service", "ProgramFlags", "Files",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "nl-worker",
      dependencies: [
        "Service", "ProgramFlags", "Files",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "nl-tool",
      dependencies: [
        "Service", "Benchmarks", "ProgramFlags", "Observability", "Simulation", "Dataset", "NestedLearning",
        "LanguageModel", "Tensors",
        "ChatTemplate", "Files", "GGUF", "JSON",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(name: "JSONTests", dependencies: ["JSON"]),
    .testTarget(
      name: "ChatTemplateTests", dependencies: ["ChatTemplate", "Digests", "JSON"],
      exclude: ["Fixtures", "conversations.py", "make_fixtures.py", "random_templates.py"]),
    .testTarget(name: "DigestsTests", dependencies: ["Digests"]),
    .testTarget(name: "FilesTests", dependencies: ["Harness", "Files"]),
    .testTarget(name: "KernelsTests", dependencies: ["Harness", "Kernels"]),
    .testTarget(name: "TensorsTests", dependencies: ["Harness", "Tensors"], exclude: ["Fixtures"]),
    .testTarget(
      name: "LanguageModelTests",
      dependencies: ["Files", "JSON", "Kernels", "Randomness", "Tensors", "Harness", "LanguageModel"],
      exclude: ["Fixtures"]),
    .testTarget(
      name: "GGUFTests", dependencies: ["Digests", "Harness", "GGUF", "LanguageModel", "Files", "JSON"],
      exclude: ["Fixtures"]),
    .testTarget(name: "RandomnessTests", dependencies: ["Randomness"]),
    .testTarget(
      name: "NestedLearningTests", dependencies: ["JSON", "NestedLearning", "Randomness"],
      swiftSettings: asTheyStand),
    .testTarget(
      name: "DatasetTests",
      dependencies: [
        "Harness", "Dataset", "ChatTemplate", "LanguageModel", "NestedLearning", "Randomness", "Files",
        "JSON", "CZlib",
      ], exclude: ["Fixtures"], swiftSettings: asTheyStand),
    .testTarget(
      name: "WireProtocolTests", dependencies: ["JSON", "Harness", "Digests", "WireProtocol"],
      exclude: ["Vectors", "make_vectors.py"], swiftSettings: asTheyStand),
    .testTarget(
      name: "CoordinationTests",
      dependencies: ["Harness", "Coordination", "WireProtocol", "NestedLearning", "Randomness"],
      exclude: ["Transcripts"], swiftSettings: asTheyStand),
    // Drives both cores through the codec and the links, with the chains that workers keep. A link lends it OneRun of
    // CoordinationTests.
    .testTarget(
      name: "HostileTests",
      dependencies: [
        "Harness", "Service", "Training", "Transport", "Coordination", "WireProtocol", "NestedLearning",
        "Digests", "JSON",
      ], swiftSettings: asTheyStand),
    .testTarget(
      name: "LedgerTests", dependencies: ["JSON", "Harness", "Ledger", "Simulation"],
      swiftSettings: asTheyStand),
    .testTarget(
      name: "TransportTests", dependencies: ["WireProtocol", "Harness", "Digests", "JSON", "Transport"],
      swiftSettings: asTheyStand),
    .testTarget(
      name: "ObservabilityTests",
      dependencies: [
        "Observability", "ProgramFlags", "JSON", .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(
      name: "HTTPServerTests",
      dependencies: [
        "Harness", "HTTPServer", "Observability", .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Hummingbird", package: "hummingbird"),
      ], swiftSettings: asTheyStand),
    .testTarget(
      name: "ServiceTests",
      dependencies: [
        "Coordination", "JSON", "Kernels", "LanguageModel", "Ledger", "NestedLearning", "Tensors", "Training",
        "Transport", "WireProtocol", "Harness", "Service", "Simulation", "Observability", "Dataset", "Files",
        "Digests",
      ], swiftSettings: asTheyStand),
    .testTarget(
      name: "BenchmarksTests",
      dependencies: [
        "JSON", "LanguageModel", "NestedLearning", "WireProtocol", "Harness", "Benchmarks", "Service",
        "Observability", "Files",
      ]),
    // What several tests need: the real programs, processes, random numbers.
    .target(name: "Harness", dependencies: ["JSON"], path: "Tests/Harness"),
    .testTarget(
      name: "TrainingTests",
      dependencies: ["Harness", "Training", "Coordination", "WireProtocol", "NestedLearning", "JSON"],
      swiftSettings: asTheyStand),
    .testTarget(
      name: "NestedLoRATests",
      dependencies: [
        "Harness", "NestedLoRA", "NestedLearning", "LanguageModel", "Tensors", "Training", "JSON", "nl-coord",
        "nl-worker",
      ], swiftSettings: asTheyStand),
    .testTarget(name: "SimulationTests", dependencies: ["WireProtocol", "Simulation"]),
    .testTarget(
      name: "FuzzTests",
      dependencies: [
        "Service", "Transport", "WireProtocol", "Dataset", "ChatTemplate", "NestedLearning", "LanguageModel",
        "GGUF",
        "Digests",
        "JSON",
        "Kernels",
      ],
      exclude: ["Corpus"]),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "Harness", "Service", "Transport", "WireProtocol", "Ledger", "NestedLearning", "LanguageModel",
        "ChatTemplate", "JSON", "Kernels",
        "nl-coord", "nl-worker", "nl-tool",
      ], exclude: ["Fixtures"], swiftSettings: asTheyStand),
    .testTarget(
      name: "WebServiceTests",
      dependencies: [
        "Harness", "WebService", "Service", "NestedLearning", "JSON", "nl-coord", "nl-worker", "nl-tool",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: asTheyStand),
    // The fault matrix: cluster/testbed/run.sh.
    .testTarget(
      name: "FaultMatrixTests",
      dependencies: [
        "Harness", "Service", "Coordination", "NestedLearning", "Tensors", "Transport", "WireProtocol",
        "CZeroMQ",
        "JSON", "nl-coord", "nl-worker", "nl-tool",
      ], swiftSettings: asTheyStand),
  ],
  swiftLanguageModes: [.v6]
)
