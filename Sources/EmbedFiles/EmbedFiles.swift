import Foundation
import PackagePlugin

/// Before a target is built: has `embed-files` make Swift of the files that are to be within the program, which are all of
/// the target's that are not Swift.
@main
struct EmbedFiles: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    guard let target = target as? any SourceModuleTarget else { return [] }
    let files = target.sourceFiles.filter { $0.type != .source }.map(\.url)
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
    let made = context.pluginWorkDirectoryURL.appending(path: "EmbeddedFiles.swift")
    return [
      .buildCommand(
        displayName: "Embedding \(files.count) files in \(target.name)",
        executable: try context.tool(named: "embed-files").url,
        arguments: [made.path(percentEncoded: false)] + files.map { $0.path(percentEncoded: false) },
        inputFiles: files, outputFiles: [made])
    ]
  }
}
