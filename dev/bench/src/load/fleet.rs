//! The loop that keeps all links of a run busy, on one thread.

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    link::{Link, Listener},
    shape::{Shape, Turn},
    tally::Tally,
};

/// How long after its end a run waits for answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// Room for what one read brings, behind a frame that was cut.
const SCRATCH_BYTES: usize = 512 << 10;

/// Links with a shape each.
pub(crate) struct Fleet<S> {
    posts: Vec<Post<S>>,
    epoll: OwnedFd,
    scratch: Vec<u8>,
    events: Vec<epoll::Event>,
    began: Instant,
}

struct Post<S> {
    link: Link,
    shape: S,
    /// We asked to hear when the socket takes more.
    watches_output: bool,
}

impl<S: Shape> Fleet<S> {
    /// Connects `links` times.
    pub(crate) fn connect(address: SocketAddr, links: usize, mut shape: impl FnMut(&Link) -> S) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut posts = Vec::with_capacity(links);
        for place in 0..links as u64 {
            let link = Link::connect(address, &mut scratch)?;
            epoll::add(&epoll, &link, epoll::EventData::new_u64(place), epoll::EventFlags::IN)?;
            let shape = shape(&link);
            posts.push(Post { link, shape, watches_output: false });
        }
        Ok(Self { posts, epoll, scratch, events: Vec::with_capacity(256), began: Instant::now() })
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.posts.iter().map(|post| &post.link)
    }

    /// Keeps `in_flight` calls going on each link for so long, then lets all of them end.
    ///
    /// # Errors
    ///
    /// When an answer is wrong, or one is missing at the end.
    pub(crate) fn run(&mut self, in_flight: usize, time: Duration) -> io::Result<Tally> {
        let mut turn = self.turn(true);
        let end = turn.now + time.as_nanos() as u64;
        for post in &mut self.posts {
            for _ in 0..in_flight {
                post.shape.start(&mut post.link, turn.now);
            }
        }
        self.settle_all()?;
        while turn.more || self.posts.iter().any(|post| post.shape.open() > 0) {
            self.wait(&mut turn, Some(Duration::from_millis(100)))?;
            turn.more = turn.now < end && self.posts.iter().all(|post| !post.link.is_worn());
            self.check_patience(&turn, end)?;
        }
        Ok(turn.tally)
    }

    /// One call on each link, one after another.
    pub(crate) fn call_once(&mut self) -> io::Result<()> {
        let mut turn = self.turn(false);
        for place in 0..self.posts.len() {
            let post = &mut self.posts[place];
            post.shape.start(&mut post.link, turn.now);
            Self::settle(&self.epoll, place, post)?;
            let end = turn.now;
            while self.posts[place].shape.open() > 0 {
                self.wait(&mut turn, Some(Duration::from_millis(100)))?;
                self.check_patience(&turn, end)?;
            }
        }
        Ok(())
    }

    /// Begins `per_second` calls in even steps for so long, whether or not the server keeps up.
    ///
    /// Latency counts from the moment a call was due, not from when it could be sent; so a server
    /// that makes us wait is charged with the wait (no coordinated omission).
    pub(crate) fn run_at_rate(&mut self, per_second: f64, time: Duration) -> io::Result<Tally> {
        let mut turn = self.turn(false);
        let (start, step) = (turn.now, 1e9 / per_second);
        let end = start + time.as_nanos() as u64;
        let mut begun = 0_u64;
        loop {
            let due = start + (begun as f64 * step) as u64;
            if due >= end && self.posts.iter().all(|post| post.shape.open() == 0) {
                return Ok(turn.tally);
            }
            if due <= turn.now && due < end {
                let place = begun as usize % self.posts.len();
                let post = &mut self.posts[place];
                if post.link.peer().streams_max.is_none_or(|max| post.shape.open() < max as usize) {
                    post.shape.start(&mut post.link, due);
                    post.link.flush()?;
                    begun += 1;
                }
            }
            // No sleep between two calls: it would be longer than the step.
            self.wait(&mut turn, Some(Duration::ZERO))?;
            self.check_patience(&turn, end)?;
        }
    }

    fn turn(&self, more: bool) -> Turn {
        Turn { now: self.now(), more, tally: Tally::new() }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn check_patience(&self, turn: &Turn, end: u64) -> io::Result<()> {
        if turn.now > end + PATIENCE.as_nanos() as u64 {
            let open: usize = self.posts.iter().map(|post| post.shape.open()).sum();
            return Err(io::Error::other(format!("{open} calls were not answered within {PATIENCE:?}")));
        }
        Ok(())
    }

    /// Waits for sockets and serves those that have something.
    fn wait(&mut self, turn: &mut Turn, timeout: Option<Duration>) -> io::Result<()> {
        let timeout =
            timeout.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
        let Self { posts, epoll, scratch, events, began } = self;
        events.clear();
        match epoll::wait(&*epoll, spare_capacity(events), timeout.as_ref()) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
            _ => {}
        }
        turn.now = began.elapsed().as_nanos() as u64;
        for event in events {
            let place = event.data.u64() as usize;
            let flags = event.flags;
            let post = &mut posts[place];
            if !(flags - epoll::EventFlags::OUT).is_empty() {
                post.link.read(scratch, &mut Hearing { shape: &mut post.shape, turn })?;
            }
            Self::settle(epoll, place, post)?;
        }
        Ok(())
    }

    fn settle_all(&mut self) -> io::Result<()> {
        for (place, post) in self.posts.iter_mut().enumerate() {
            Self::settle(&self.epoll, place, post)?;
        }
        Ok(())
    }

    /// Sends what there is, and asks to be told when the socket takes more if that is not all.
    fn settle(epoll: &OwnedFd, place: usize, post: &mut Post<S>) -> io::Result<()> {
        let more = post.shape.pump(&mut post.link);
        post.link.flush()?;
        let watches = more || post.link.unsent() > 0;
        if watches != post.watches_output {
            post.watches_output = watches;
            let flags = if watches { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
            epoll::modify(epoll, &post.link, epoll::EventData::new_u64(place as u64), flags)?;
        }
        Ok(())
    }
}

/// A shape that knows the moment.
struct Hearing<'a, S> {
    shape: &'a mut S,
    turn: &'a mut Turn,
}

impl<S: Shape> Listener for Hearing<'_, S> {
    fn data(&mut self, link: &mut Link, stream: u32, bytes: &[u8]) -> io::Result<()> {
        self.shape.data(link, self.turn, stream, bytes)
    }

    fn ended(&mut self, link: &mut Link, stream: u32) -> io::Result<()> {
        self.shape.ended(link, self.turn, stream)
    }

    fn window(&mut self, link: &mut Link, stream: u32, bytes: u32) -> io::Result<()> {
        self.shape.window(link, self.turn, stream, bytes)
    }
}
