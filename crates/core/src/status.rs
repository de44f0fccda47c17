use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// How a call ended: a code, a message for people, and details for programs.
///
/// It is the only error a caller or a handler meets.
#[derive(Clone, PartialEq, Eq)]
pub struct Status {
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
}

/// One detail of a status: a message of any type, as `google.protobuf.Any` carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Which type it is, such as `type.googleapis.com/google.rpc.ErrorInfo`.
    pub type_url: String,
    /// The message in Protobuf's binary format.
    pub value: Bytes,
}

impl Status {
    /// A status with a code and a message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Success.
    pub const fn ok() -> Self {
        Self { code: Code::Ok, message: Cow::Borrowed(""), details: Vec::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    /// What kind of end it was.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Whether it is success.
    pub const fn is_ok(&self) -> bool {
        matches!(self.code, Code::Ok)
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details for programs.
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// `Ok(())` for success, else itself as the error.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_ok() { Ok(()) } else { Err(self) }
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        impl Status {
            $($(#[$doc])* pub fn $name(message: impl Into<Cow<'static, str>>) -> Self { Self::new(Code::$code, message) })*
        }
    };
}

constructors! {
    /// The operation was cancelled, usually by the caller.
    cancelled => Cancelled;
    /// An error nobody classified.
    unknown => Unknown;
    /// The caller's argument is wrong whatever the state of the system.
    invalid_argument => InvalidArgument;
    /// The deadline passed.
    deadline_exceeded => DeadlineExceeded;
    /// What was asked for is not there.
    not_found => NotFound;
    /// What should be created is there already.
    already_exists => AlreadyExists;
    /// The caller is known and may not do this.
    permission_denied => PermissionDenied;
    /// A limit, a quota or space is used up.
    resource_exhausted => ResourceExhausted;
    /// The system is not in the state this needs; retrying alone does not help.
    failed_precondition => FailedPrecondition;
    /// A conflict with another operation; retry from a higher level.
    aborted => Aborted;
    /// Past the valid range.
    out_of_range => OutOfRange;
    /// The server does not know or do this.
    unimplemented => Unimplemented;
    /// A broken invariant.
    internal => Internal;
    /// Not reachable now; a retry may succeed.
    unavailable => Unavailable;
    /// Data was lost for good.
    data_loss => DataLoss;
    /// The caller did not say who it is, or not believably.
    unauthenticated => Unauthenticated;
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.code).field("message", &self.message);
        if !self.details().is_empty() {
            out.field("details", &self.details());
        }
        out.finish()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Status {}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The seventeen codes of gRPC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code { $($(#[$doc])* $variant = $number,)* }

        impl Code {
            /// All codes, by number.
            pub const ALL: [Self; 17] = [$(Self::$variant),*];

            /// The name in capitals, such as `NOT_FOUND`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    /// Success.
    Ok = 0, "OK";
    /// Cancelled, usually by the caller.
    Cancelled = 1, "CANCELLED";
    /// An error nobody classified.
    Unknown = 2, "UNKNOWN";
    /// The argument is wrong whatever the state of the system.
    InvalidArgument = 3, "INVALID_ARGUMENT";
    /// The deadline passed.
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED";
    /// What was asked for is not there.
    NotFound = 5, "NOT_FOUND";
    /// What should be created is there already.
    AlreadyExists = 6, "ALREADY_EXISTS";
    /// The caller is known and may not do this.
    PermissionDenied = 7, "PERMISSION_DENIED";
    /// A limit, a quota or space is used up.
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED";
    /// The system is not in the state this needs.
    FailedPrecondition = 9, "FAILED_PRECONDITION";
    /// A conflict with another operation.
    Aborted = 10, "ABORTED";
    /// Past the valid range.
    OutOfRange = 11, "OUT_OF_RANGE";
    /// Not known or not done here.
    Unimplemented = 12, "UNIMPLEMENTED";
    /// A broken invariant.
    Internal = 13, "INTERNAL";
    /// Not reachable now.
    Unavailable = 14, "UNAVAILABLE";
    /// Data was lost for good.
    DataLoss = 15, "DATA_LOSS";
    /// The caller did not say who it is.
    Unauthenticated = 16, "UNAUTHENTICATED";
}

impl Code {
    /// The code of that number; a number nobody defined is `Unknown`.
    pub const fn from_number(number: u32) -> Self {
        if number < 17 { Self::ALL[number as usize] } else { Self::Unknown }
    }

    /// The number that `grpc-status` carries.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_agree_both_ways() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), number);
            assert_eq!(Code::from_number(number as u32), code);
        }
        assert_eq!(Code::from_number(17), Code::Unknown);
    }

    #[test]
    fn a_status_stays_small_enough_to_return() {
        assert!(size_of::<Status>() <= 56);
    }
}
