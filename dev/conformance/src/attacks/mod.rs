//! Known attacks on HTTP/2 servers (being written).

/// Which attacks.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {}

/// Plays them.
pub(crate) async fn run(_: Options) -> Result<bool, String> {
    Err("not there yet".into())
}
