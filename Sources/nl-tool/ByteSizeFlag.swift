import ArgumentParser
import Files

extension ByteSize: ExpressibleByArgument {
  public init?(argument: String) { self.init(text: argument) }

  public var defaultValueDescription: String { description }
}
