use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{task::spawn_blocking, time::Instant};

use super::error::TlsConfigError;

/// How a configuration is made from what stands in files.
pub(super) trait Recipe: Send + Sync + 'static {
    /// Everything that may change, as it was read.
    type Pem: std::hash::Hash;
    /// What is made of it.
    type Config: Send + Sync;

    /// The word for logs: `server` or `client`.
    const SIDE: &'static str;

    fn read(&self) -> Result<Self::Pem, TlsConfigError>;

    /// `now` in seconds since 1970.
    fn make(&self, pem: &Self::Pem, now: i64) -> Result<Made<Self::Config>, TlsConfigError>;
}

pub(super) struct Made<C> {
    pub(super) config: C,
    /// Last moment of our own certificate, if we have one.
    pub(super) not_after_unix_seconds: Option<i64>,
}

/// Our certificate and what became of attempts to replace it: for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateState {
    /// Last moment of validity of the certificate in use, in seconds since 1970-01-01T00:00:00Z; none for a client without
    /// a certificate.
    pub not_after_unix_seconds: Option<i64>,
    /// Times that changed files were refused and the old configuration was kept.
    pub refused: u64,
    /// Times that changed files were taken.
    pub replaced: u64,
}

/// A configuration that follows its files.
pub(super) struct Live<R: Recipe> {
    recipe: R,
    /// None: nothing it is made of can change.
    interval: Option<Duration>,
    current: RwLock<Arc<Made<R::Config>>>,
    checks: Mutex<Checks>,
    /// One look at a time.
    looking: Mutex<Seen>,
    refused: AtomicU64,
    replaced: AtomicU64,
    hasher: RandomState,
}

struct Checks {
    next: Instant,
    running: bool,
}

struct Seen {
    /// Hash of what the current configuration is made of. (Not the bytes: they hold a private key.)
    fingerprint: u64,
    /// What was last complained about, so that it is said once.
    complaint: Option<TlsConfigError>,
}

impl<R: Recipe> Live<R> {
    pub(super) fn new(recipe: R, interval: Option<Duration>) -> Result<Arc<Self>, TlsConfigError> {
        let pem = recipe.read()?;
        let made = recipe.make(&pem, unix_seconds())?;
        let hasher = RandomState::new();
        Ok(Arc::new(Self {
            recipe,
            interval,
            current: RwLock::new(Arc::new(made)),
            checks: Mutex::new(Checks { next: Instant::now() + interval.unwrap_or_default(), running: false }),
            looking: Mutex::new(Seen { fingerprint: hasher.hash_one(&pem), complaint: None }),
            refused: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            hasher,
        }))
    }

    /// The configuration for the next handshake. Whoever comes when a look is due waits for the files to be read (on a thread
    /// for blocking work); others meanwhile get what is there.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<Made<R::Config>> {
        if let Some(check) = self.due() {
            let live = Arc::clone(self);
            // Without a result (the runtime is going down) there is still the old configuration.
            let _ = spawn_blocking(move || {
                let _check = check;
                live.reload()
            })
            .await;
        }
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads everything now; true if it had changed and is in use.
    pub(super) fn reload(&self) -> Result<bool, TlsConfigError> {
        let mut seen = lock(&self.looking);
        let looked = self.recipe.read().and_then(|pem| {
            let fingerprint = self.hasher.hash_one(&pem);
            if fingerprint == seen.fingerprint {
                return Ok(None);
            }
            Ok(Some((fingerprint, self.recipe.make(&pem, unix_seconds())?)))
        });
        match looked {
            Ok(None) => {
                seen.complaint = None;
                Ok(false)
            }
            Ok(Some((fingerprint, made))) => {
                let not_after_unix_seconds = made.not_after_unix_seconds;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                *seen = Seen { fingerprint, complaint: None };
                self.replaced.fetch_add(1, Relaxed);
                tracing::info!(side = R::SIDE, not_after_unix_seconds, "TLS certificates have changed and are in use");
                Ok(true)
            }
            Err(error) => {
                self.refused.fetch_add(1, Relaxed);
                if seen.complaint.as_ref() != Some(&error) {
                    tracing::error!(side = R::SIDE, %error, "TLS certificates have changed but cannot be used; the old ones stay");
                    seen.complaint = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    pub(super) fn state(&self) -> CertificateState {
        let not_after_unix_seconds = self.current.read().unwrap_or_else(PoisonError::into_inner).not_after_unix_seconds;
        CertificateState {
            not_after_unix_seconds,
            refused: self.refused.load(Relaxed),
            replaced: self.replaced.load(Relaxed),
        }
    }

    fn due(self: &Arc<Self>) -> Option<Check<R>> {
        let interval = self.interval?;
        let now = Instant::now();
        let mut checks = lock(&self.checks);
        if checks.running || now < checks.next {
            return None;
        }
        *checks = Checks { next: now + interval, running: true };
        Some(Check(Arc::clone(self)))
    }
}

/// A look that is under way; dropping it ends it.
struct Check<R: Recipe>(Arc<Live<R>>);

impl<R: Recipe> Drop for Check<R> {
    fn drop(&mut self) {
        lock(&self.0.checks).running = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
