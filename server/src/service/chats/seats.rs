//! How many agents run at once. Where all seats are taken, an agent that waits for its next message gives way.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// The seats of this server.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    wishes: mpsc::UnboundedSender<Wish>,
    /// An agent that is idle waits for the next one: so as many give way as somebody has no seat.
    wanted: Mutex<mpsc::UnboundedReceiver<Wish>>,
}

/// A seat that is taken; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Somebody wants a seat: it is given by sending it here.
pub(super) type Wish = oneshot::Sender<Seat>;

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        let (wishes, wanted) = mpsc::unbounded_channel();
        Self { free: Arc::new(Semaphore::new(most)), wishes, wanted: Mutex::new(wanted) }
    }

    /// Waits for a seat: one that is free, or one that an idle agent gives up.
    pub(super) async fn take(&self) -> Seat {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Seat(permit);
        }
        let (wish, given) = oneshot::channel();
        let _ = self.wishes.send(wish);
        tokio::select! {
            Ok(seat) = given => seat,
            Ok(permit) = self.free.clone().acquire_owned() => Seat(permit),
            else => unreachable!("the seats are never closed"),
        }
    }

    /// Completes when somebody wants a seat that nobody else gives.
    pub(super) async fn wanted(&self) -> Wish {
        let mut wanted = self.wanted.lock().await;
        loop {
            match wanted.recv().await {
                // That one has a seat by now.
                Some(wish) if wish.is_closed() => {}
                Some(wish) => return wish,
                None => unreachable!("the other end is here, too"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_idle_agent_gives_way() {
        let seats = Seats::new(1);
        let idle = seats.take().await;
        tokio::join!(seats.take(), async { seats.wanted().await.send(idle).expect("somebody waits") });
    }

    /// Also where they came at once, and neither more nor fewer.
    #[tokio::test]
    async fn as_many_give_way_as_wait() {
        let seats = Seats::new(3);
        let (one, two) = (seats.take().await, seats.take().await);
        let _busy = seats.take().await;
        let (mut first, mut second) = (Box::pin(seats.take()), Box::pin(seats.take()));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        for idle in [one, two] {
            let wish = seats.wanted().now_or_never().expect("somebody waits");
            wish.send(idle).expect("they still wait");
        }
        assert!(seats.wanted().now_or_never().is_none(), "nobody waits any more");
        let _ = tokio::join!(first, second);
    }

    #[tokio::test]
    async fn nobody_gives_way_to_who_is_gone_or_has_a_seat() {
        let seats = Seats::new(1);
        let busy = seats.take().await;
        let (mut gone, mut waits) = (Box::pin(seats.take()), Box::pin(seats.take()));
        assert!(gone.as_mut().now_or_never().is_none() && waits.as_mut().now_or_never().is_none());
        drop((gone, busy));
        let _seat = waits.await;
        assert!(seats.wanted().now_or_never().is_none());
    }
}
