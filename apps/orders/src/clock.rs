//! What time it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::domain::Timestamp;

/// Where handlers and background tasks have their time from: a value handed in, so that tests can hand in another.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    ByHand(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// The computer's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it. Clones move together.
    pub fn by_hand(now: Timestamp) -> Self {
        Self(Source::ByHand(Arc::new(watch::Sender::new(now))))
    }

    /// Moves a clock that goes by hand; the computer's goes by itself and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::ByHand(now) = &self.0 {
            now.send_modify(|now| *now = now.plus(by));
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => SystemTime::now().into(),
            Source::ByHand(now) => *now.borrow(),
        }
    }

    /// Waits until a moment.
    pub async fn sleep_until(&self, moment: Timestamp) {
        match &self.0 {
            Source::System => tokio::time::sleep(moment.since(self.now())).await,
            Source::ByHand(now) => {
                let reached = now.subscribe().wait_for(|now| *now >= moment).await.map(drop);
                reached.expect("this clock holds the sender");
            }
        }
    }

    /// Waits for a length of time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().plus(duration)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_by_hand_wakes_sleepers_when_it_gets_there() {
        let clock = Clock::by_hand(Timestamp::from_micros(0));
        let sleeper = clock.clone();
        let slept = tokio::spawn(async move { sleeper.sleep(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!slept.is_finished());
        clock.advance(Duration::from_secs(1));
        slept.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_micros(60_000_000));
    }
}
