//! The open streams of one link, found by id without hashing.

use std::io;

use super::link::Link;

/// Streams in a ring: a stream's place is its number modulo the size. A new stream skips the
/// ids whose places are taken, which HTTP/2 permits.
pub(crate) struct Lanes<T> {
    places: Vec<(u32, T)>,
    open: usize,
}

/// No stream has this id: a place with it is free.
const FREE: u32 = 0;

impl<T: Default> Lanes<T> {
    /// Room for `streams` and some that lag behind.
    pub(crate) fn with_room(streams: usize) -> Self {
        let size = (streams * 4).next_power_of_two().max(16);
        Self { places: (0..size).map(|_| (FREE, T::default())).collect(), open: 0 }
    }

    /// Opens a stream on `link` with a fresh state.
    pub(crate) fn open(&mut self, link: &mut Link) -> (u32, &mut T) {
        assert!(self.open < self.places.len(), "the lanes have room for every stream of the run");
        while self.places[self.place(link.next_stream())].0 != FREE {
            link.open();
        }
        let stream = link.open();
        self.open += 1;
        let place = self.place(stream);
        self.places[place] = (stream, T::default());
        (stream, &mut self.places[place].1)
    }

    /// The state of a stream.
    ///
    /// # Errors
    ///
    /// When it is not open: the server spoke of a stream it should have forgotten.
    pub(crate) fn find(&mut self, stream: u32) -> io::Result<&mut T> {
        let place = self.place(stream);
        let (id, state) = &mut self.places[place];
        if *id == stream {
            Ok(state)
        } else {
            Err(io::Error::other(format!("the server spoke of stream {stream}, which is not open")))
        }
    }

    /// Ends a stream and hands out its state.
    pub(crate) fn close(&mut self, stream: u32) -> io::Result<T> {
        let state = std::mem::take(self.find(stream)?);
        let place = self.place(stream);
        self.places[place].0 = FREE;
        self.open -= 1;
        Ok(state)
    }

    /// All open streams.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.places.iter_mut().filter(|(id, _)| *id != FREE).map(|(id, state)| (*id, state))
    }

    /// How many streams are open.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    fn place(&self, stream: u32) -> usize {
        (stream >> 1) as usize & (self.places.len() - 1)
    }
}
