// swift-tools-version: 6.0
import PackageDescription

// Homebrew's headers lie where only pkg-config knows; on Linux the compiler finds them by itself, and libzmq's file
// has a flag that SwiftPM warns about.
#if os(macOS)
  let zeroMQ: String? = "libzmq"
#else
  let zeroMQ: String? = nil
#endif

let package = Package(
  name: "nested-learning",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "nl-coord", targets: ["nl-coord"]),
    .executable(name: "nl-worker", targets: ["nl-worker"]),
    .executable(name: "nl-tool", targets: ["nl-tool"]),
    .library(name: "NestedLearning", targets: ["NestedLearning"]),
  ],
  dependencies: [
    // Command lines: help, typed flags, exit codes.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // SHA-256 of models, tensors and snapshots.
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    // The one logging interface that Swift servers share.
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    // HTTP for health, metrics and what is to come: the server that Swift's own server community keeps.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
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
    .target(name: "Kernels"),
    .target(name: "JSON"),
    .target(name: "Tensors", dependencies: ["Kernels"]),
    .target(name: "LanguageModel", dependencies: ["Tensors", "Kernels", "JSON", "CPCRE2"]),
    .target(
      name: "NestedLearning",
      dependencies: ["Kernels", "JSON", .product(name: "Yams", package: "Yams")]),
    .target(name: "Dataset", dependencies: ["NestedLearning", "LanguageModel", "JSON"]),
    .target(
      name: "WireProtocol",
      dependencies: ["JSON", "Kernels", .product(name: "Crypto", package: "swift-crypto")],
      exclude: ["PROTOCOL.md"]),
    .target(name: "Coordination", dependencies: ["WireProtocol", "NestedLearning", "JSON"]),
    .target(
      name: "Ledger", dependencies: ["JSON", .product(name: "GRDB", package: "GRDB.swift")],
      exclude: ["SCHEMA.md"]),
    .target(name: "Transport", dependencies: ["CZeroMQ", "WireProtocol"]),
    .target(
      name: "Observability",
      dependencies: [
        "JSON", .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    .target(
      name: "Service",
      dependencies: [
        "Observability", "Transport", "Ledger", "Coordination", "WireProtocol", "Dataset", "NestedLearning",
        "LanguageModel", "Tensors", "Kernels", "JSON",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ]),
    // What the programs' command lines have in common.
    .target(
      name: "ProgramFlags",
      dependencies: [
        "Service", "Observability", "NestedLearning", "JSON",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(
      name: "Simulation",
      dependencies: [
        "Service", "Observability", "Coordination", "WireProtocol", "Transport", "Ledger", "NestedLearning",
        "JSON",
      ]),
    .executableTarget(
      name: "nl-coord",
      dependencies: [
        "Service", "ProgramFlags", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "nl-worker",
      dependencies: [
        "Service", "ProgramFlags", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "nl-tool",
      dependencies: [
        "Service", "ProgramFlags", "Observability", "Simulation", "NestedLearning", "Tensors",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(name: "JSONTests", dependencies: ["JSON"]),
    .testTarget(name: "KernelsTests", dependencies: ["Harness", "Kernels"]),
    .testTarget(name: "TensorsTests", dependencies: ["Harness", "Tensors"], exclude: ["Fixtures"]),
    .testTarget(
      name: "LanguageModelTests", dependencies: ["Harness", "LanguageModel"], exclude: ["Fixtures"]),
    .testTarget(name: "NestedLearningTests", dependencies: ["NestedLearning"]),
    .testTarget(name: "DatasetTests", dependencies: ["Dataset"]),
    .testTarget(
      name: "WireProtocolTests", dependencies: ["Harness", "WireProtocol"],
      exclude: ["Vectors", "make_vectors.py"]),
    // Hostile/ drives both cores through the codec and the links, with the chains that workers keep.
    .testTarget(
      name: "CoordinationTests",
      dependencies: ["Harness", "Coordination", "Service", "Transport", "WireProtocol", "NestedLearning"]),
    .testTarget(
      name: "LedgerTests",
      // SQLite's own interface, for a simulated disk below it.
      dependencies: ["Harness", "Ledger", .product(name: "GRDBSQLite", package: "GRDB.swift")]),
    .testTarget(name: "TransportTests", dependencies: ["Harness", "Transport"]),
    .testTarget(
      name: "ObservabilityTests",
      dependencies: [
        "Harness", "Observability", "ProgramFlags", "JSON", .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(name: "ServiceTests", dependencies: ["Harness", "Service", "Observability"]),
    // What several tests need: the real programs, processes, random numbers.
    .target(name: "Harness", dependencies: ["JSON"], path: "Tests/Harness"),
    .testTarget(name: "SimulationTests", dependencies: ["Simulation"]),
    .testTarget(
      name: "FuzzTests",
      dependencies: [
        "Service", "Transport", "WireProtocol", "Dataset", "NestedLearning", "LanguageModel", "JSON",
        "Kernels",
      ],
      exclude: ["Corpus"]),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "Harness", "Service", "Transport", "WireProtocol", "Ledger", "LanguageModel", "JSON", "nl-coord",
        "nl-worker", "nl-tool",
      ]),
    // The fault matrix: cluster/testbed/run.sh.
    .testTarget(
      name: "FaultMatrixTests",
      dependencies: [
        "Harness", "Service", "Coordination", "NestedLearning", "Tensors", "Transport", "WireProtocol",
        "CZeroMQ",
        "JSON", "nl-coord", "nl-worker", "nl-tool",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
