/// How a message is turned into bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Canonical proto3 JSON, UTF-8.
    Json,
    /// The Protobuf binary format (the default).
    #[default]
    Proto,
}

impl Codec {
    /// The name used in content types: `proto` or `json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Proto => "proto",
        }
    }
}
