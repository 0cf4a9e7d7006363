//! The terminal of the person who started the companion: keys go to the agent as they come, output comes out as it is.
//! Afterwards the terminal is as it was, whatever happens.
//!
//! Reading and writing have a thread each, because either may block for as long as it likes. Nothing of this needs a
//! terminal: pipes, files and `/dev/null` will do.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::{mpsc, oneshot};

use super::Size;
use super::control::{Control, Question};

/// How large a terminal is that is none.
const USUAL: Size = Size { columns: 80, rows: 24 };
/// How many pieces of output may wait for the terminal; then the agent waits as well.
const WAITING: usize = 8;
/// How long the last output may take.
const LAST: Duration = Duration::from_secs(2);

/// The modes of the terminal before they were changed; there only while they are.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

pub(super) struct Terminal {
    keys: mpsc::Receiver<Vec<u8>>,
    /// `None`: everything has been said.
    output: Option<mpsc::Sender<Vec<u8>>>,
    /// Output that has found no room.
    held: Option<Vec<u8>>,
    written: oneshot::Receiver<()>,
    control: Control,
    is_terminal: (bool, bool),
    modes: Option<Termios>,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn take() -> Self {
        let is_terminal = (io::stdin().is_terminal(), io::stdout().is_terminal());
        let modes = is_terminal.0.then(|| tcgetattr(stdin()).ok()).flatten();
        restore_on_panic();
        make_raw(modes.as_ref());
        let (key_sender, keys) = mpsc::channel(1);
        std::thread::spawn(move || read_keys(&key_sender));
        let (output, output_receiver) = mpsc::channel(WAITING);
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || {
            write_output(output_receiver);
            let _nobody_waits = done.send(());
        });
        Self { keys, output: Some(output), held: None, written, control: Control::default(), is_terminal, modes }
    }

    /// The modes that it had before.
    pub(super) fn modes(&self) -> Option<&Termios> {
        self.modes.as_ref()
    }

    /// How large it is.
    pub(super) fn size(&self) -> Size {
        let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin()));
        let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(USUAL, |size| Size { columns: size.ws_col, rows: size.ws_row })
    }

    /// Whether the agent wants pasted text to be marked.
    pub(super) fn pastes(&self) -> bool {
        self.control.pastes()
    }

    /// Shows output, and answers with the questions in it that nobody else will answer.
    pub(super) fn show(&mut self, output: &[u8]) -> Vec<Question> {
        let questions = self.control.read(output);
        self.write(output.to_vec());
        if self.is_terminal == (true, true) { Vec::new() } else { questions }
    }

    /// Makes the terminal as it was before the agent came, and answers with what was to be said for that.
    pub(super) fn undo(&mut self) -> String {
        let undo = self.control.undo();
        if self.is_terminal.1 && !undo.is_empty() {
            self.write(undo.clone().into_bytes());
        }
        undo
    }

    fn write(&mut self, output: Vec<u8>) {
        let Some(sender) = &self.output else { return };
        if let Some(held) = &mut self.held {
            held.extend(output);
        } else if let Err(mpsc::error::TrySendError::Full(output)) = sender.try_send(output) {
            self.held = Some(output);
        }
    }

    /// Whether more can be shown.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_none()
    }

    /// The next keys, if they are wanted; `None`: there is room again for output.
    ///
    /// The end of the input is no key: the agent stays for those who talk to it from elsewhere.
    pub(super) async fn next(&mut self, wants_keys: bool) -> Option<Vec<u8>> {
        let Self { keys, output, held, .. } = self;
        tokio::select! {
            () = make_room(output.as_ref(), held) => None,
            Some(keys) = keys.recv(), if wants_keys => Some(keys),
        }
    }

    /// Completes when there is room for output.
    pub(super) async fn room(&mut self) {
        if self.held.is_some() {
            make_room(self.output.as_ref(), &mut self.held).await;
        }
    }

    /// Stops the companion, as the person or a shell wants it, and goes on when they want that.
    pub(super) fn pause(&self) {
        restore();
        let own = rustix::process::getpid();
        let _stops = rustix::process::kill_process(own, rustix::process::Signal::STOP);
        make_raw(self.modes.as_ref());
    }

    /// Writes what is left, and gives the terminal back.
    pub(super) async fn give_back(mut self) {
        self.undo();
        if let (Some(sender), Some(held)) = (self.output.take(), self.held.take()) {
            let _too_slow = tokio::time::timeout(LAST, sender.send(held)).await;
        }
        let _too_slow = tokio::time::timeout(LAST, &mut self.written).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is something to undo only where it was not given back.
        let undo = self.control.undo();
        if self.is_terminal.1 && !undo.is_empty() {
            let _gone = io::stdout().lock().write_all(undo.as_bytes());
        }
        restore();
    }
}

/// Completes when output that had found no room has found it.
async fn make_room(output: Option<&mpsc::Sender<Vec<u8>>>, held: &mut Option<Vec<u8>>) {
    let (Some(sender), true) = (output, held.is_some()) else { return std::future::pending().await };
    if let Ok(permit) = sender.reserve().await
        && let Some(held) = held.take()
    {
        permit.send(held);
    }
}

fn make_raw(modes: Option<&Termios>) {
    let Some(modes) = modes else { return };
    let mut raw = modes.clone();
    raw.make_raw();
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(modes.clone());
    // It fails only when the terminal is gone.
    let _gone = tcsetattr(stdin(), OptionalActions::Drain, &raw);
}

fn restore() {
    // A panic may have happened anywhere, also while the lock was held.
    if let Ok(mut before) = BEFORE.try_lock()
        && let Some(modes) = before.take()
    {
        // With what the terminal has said since: nobody else would understand it.
        let _gone = tcsetattr(stdin(), OptionalActions::Flush, &modes);
    }
}

/// So that the message about a panic can be read.
fn restore_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        usual(panic);
    }));
}

fn read_keys(keys: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    loop {
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if keys.blocking_send(buffer[..length].to_vec()).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
}

/// A reader that goes away is no reason to end the agent; its output is then shown to nobody here.
fn write_output(mut output: mpsc::Receiver<Vec<u8>>) {
    let mut gone = false;
    while let Some(output) = output.blocking_recv() {
        gone = gone || write_all(&output).is_err();
    }
}

fn write_all(mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        match rustix::io::write(stdout(), output) {
            Ok(length) => output = &output[length..],
            Err(rustix::io::Errno::INTR) => {}
            // Somebody else has made it so, who shares it.
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
