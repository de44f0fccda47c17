//! A line in the log, and a number, for every call.

use std::sync::Arc;
use std::time::Instant;

use polywire::{Call, Code, Interceptor, Next, Reply, Status};

use crate::counters::Counters;

/// Logs and counts every call that ends, however it does.
#[derive(Debug, Clone)]
pub struct CallLog {
    counters: Arc<Counters>,
}

impl CallLog {
    /// Counts into these.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }
}

impl Interceptor for CallLog {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        let mut entry = Entry {
            counters: &self.counters,
            method: call.method().to_string(),
            peer: call.address().to_string(),
            started: Instant::now(),
            // A call that is cancelled is dropped before it can say how it ended.
            status: Status::cancelled("the caller went away"),
        };
        let result = next.run(call).await;
        entry.status = result.as_ref().err().cloned().unwrap_or_else(Status::ok);
        result
    }
}

/// Written when it is dropped.
struct Entry<'a> {
    counters: &'a Counters,
    method: String,
    peer: String,
    started: Instant,
    status: Status,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Self { method, peer, status, .. } = self;
        let microseconds = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let code = status.code();
        self.counters.calls.count_at(code.name());
        self.counters.call_microseconds.add(microseconds);
        let (code_name, message) = (code.name(), status.message());
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => {
                tracing::error!(method, peer, code = code_name, microseconds, reason = message, "call failed");
            }
            Code::Ok => tracing::info!(method, peer, code = code_name, microseconds, "call"),
            _ => tracing::info!(method, peer, code = code_name, microseconds, reason = message, "call"),
        }
    }
}
