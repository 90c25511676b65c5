// swift-tools-version: 6.2
import PackageDescription

// A program that trains by the library. Elsewhere than in this repository, `path` is a `url`.
let package = Package(
  name: "train-in-process",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "nested-learning", path: "../..")],
  targets: [
    .executableTarget(
      name: "train-in-process", dependencies: [.product(name: "NestedLearning", package: "nested-learning")])
  ],
  swiftLanguageModes: [.v6]
)
