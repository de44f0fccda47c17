//! The time of day as HTTP has it (RFC 9110 §5.6.7).

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

thread_local! {
    /// The last second that was written out, and how.
    static LATEST: Cell<(u64, [u8; 29])> = const { Cell::new((0, *b"Thu, 01 Jan 1970 00:00:00 GMT")) };
}

/// Now. It is written out once a second on each thread.
pub(crate) fn now() -> [u8; 29] {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (second, date) = LATEST.get();
    if second == seconds {
        return date;
    }
    let date = written(seconds);
    LATEST.set((seconds, date));
    date
}

/// So many seconds after the beginning of 1970.
fn written(seconds: u64) -> [u8; 29] {
    // What has more than four digits of a year is no date here.
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
    let mut date = [0; 29];
    date.copy_from_slice(httpdate::fmt_http_date(time).as_bytes());
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_standard_has_them() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&written(seconds)), Ok(date));
        }
    }
}
