//! A Unix socket between the daemon and Postgres that counts what crosses it, and can be cut.
//!
//! It reads the frontend half of the protocol: packets without a type until the startup is done, then a type byte and a length. A round
//! trip is a message after which the client waits: a simple query, or the end of an extended one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rundown::postgres::PORT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Cluster;

/// The wire, as a test holds it.
pub struct Wire {
    dir: PathBuf,
    shared: Arc<Shared>,
}

/// What was said since the wire was laid, round trip by round trip.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub trips: Vec<Trip>,
    /// Prepared texts by connection, and how often each.
    pub prepared_by: BTreeMap<(u32, String), usize>,
    /// Of the round trip under way, by connection.
    begun: BTreeMap<u32, Trip>,
    /// Connections in a transaction.
    open: BTreeSet<u32>,
}

/// One message after which the client waits, and what it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trip {
    /// A simple query.
    Query(String),
    /// A statement, prepared for a connection's whole life.
    Prepare(String),
    /// A prepared statement, executed.
    Execute,
    /// Nothing but the question whether the server is there: the pool's, on taking a connection back.
    Ping,
}

/// Where the wire is cut: counted from now on, in round trips that are a command's own (no preparing, no ping).
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The message never reaches Postgres.
    Before(usize),
    /// Postgres does what it is asked, and nobody hears of it.
    After(usize),
}

struct Shared {
    upstream: PathBuf,
    said: Mutex<Said>,
    cut: Mutex<Option<Cut>>,
    dead: watch::Sender<bool>,
    connections: AtomicU32,
    tasks: TaskTracker,
}

impl Wire {
    /// Lays a wire to the run's Postgres.
    pub fn lay() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = std::env::temp_dir().join(format!(
            "rundown-wire-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&dir).expect("a directory");
        let socket = |dir: &Path| dir.join(format!(".s.PGSQL.{PORT}"));
        let listener = UnixListener::bind(socket(&dir)).expect("a socket");
        let shared = Arc::new(Shared {
            upstream: socket(&Cluster::socket_dir()),
            said: Mutex::default(),
            cut: Mutex::default(),
            dead: watch::Sender::new(false),
            connections: AtomicU32::new(0),
            tasks: TaskTracker::new(),
        });
        let accepting = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                accepting.tasks.spawn(shared.carry(client));
            }
        });
        Self { dir, shared }
    }

    /// The same URL, by way of this wire.
    pub fn lead(&self, url: &str) -> String {
        let direct = Cluster::socket_dir();
        let led = url.replace(&*direct.to_string_lossy(), &self.dir.to_string_lossy());
        assert_ne!(led, url, "the URL names the socket's directory");
        led
    }

    pub fn said(&self) -> Said {
        lock(&self.shared.said).clone()
    }

    /// The same, once every transaction has ended: the roll-back of a refused command follows its answer.
    pub async fn when_quiet(&self) -> Said {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let said = self.said();
            if said.open.is_empty() {
                return said;
            }
            assert!(Instant::now() < deadline, "a transaction stays open: {:#?}", said.trips);
            tokio::task::yield_now().await;
        }
    }

    /// Cuts one connection at a coming round trip, once.
    pub fn cut(&self, cut: Cut) {
        *lock(&self.shared.cut) = Some(cut);
    }

    /// Whether the cut that was asked for has been made.
    pub fn is_cut(&self) -> bool {
        lock(&self.shared.cut).is_none()
    }

    /// Ends every connection and takes no other; or takes them again.
    pub fn kill(&self, dead: bool) {
        self.shared.dead.send_replace(dead);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

impl Shared {
    async fn carry(self: Arc<Self>, client: UnixStream) {
        let mut dead = self.dead.subscribe();
        if *dead.borrow_and_update() {
            return;
        }
        let Ok(server) = UnixStream::connect(&self.upstream).await else {
            return;
        };
        let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
        let swallow = AtomicBool::new(false);
        let id = self.connections.fetch_add(1, Ordering::Relaxed);
        // Whichever half ends first takes the other with it: both sockets are closed when this returns.
        tokio::select! {
            () = self.forth(id, client_reads, server_writes, &swallow) => {}
            () = back(server_reads, client_writes, &swallow) => {}
            _ = dead.changed() => {}
        }
        // Postgres rolls back what was open.
        lock(&self.said).open.remove(&id);
    }

    /// Client to server, message by message.
    async fn forth(&self, connection: u32, mut client: OwnedReadHalf, mut server: OwnedWriteHalf, swallow: &AtomicBool) {
        let mut messages = Messages::default();
        while let Ok(true) = messages.fill(&mut client).await {
            while let Some(message) = messages.next() {
                let counts = lock(&self.said).hear(connection, &message);
                match if counts { self.count_down() } else { None } {
                    Some(Cut::Before(_)) => return,
                    Some(Cut::After(_)) => swallow.store(true, Ordering::SeqCst),
                    None => {}
                }
                if server.write_all(&message.bytes).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The cut, if this round trip is the one.
    fn count_down(&self) -> Option<Cut> {
        let mut cut = lock(&self.cut);
        let left = match (*cut)? {
            Cut::Before(left) if left > 1 => Cut::Before(left - 1),
            Cut::After(left) if left > 1 => Cut::After(left - 1),
            Cut::Before(_) | Cut::After(_) => return cut.take(),
        };
        *cut = Some(left);
        None
    }
}

/// Server to client, byte for byte. What answers a swallowed message ends the connection.
async fn back(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, swallow: &AtomicBool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = server.read(&mut bytes).await {
        if swallow.load(Ordering::SeqCst) || client.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

struct Message {
    /// None before the startup is done.
    kind: Option<u8>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Messages {
    buffer: Vec<u8>,
    started: bool,
}

impl Messages {
    /// Reads what there is; false at the end.
    async fn fill(&mut self, from: &mut OwnedReadHalf) -> std::io::Result<bool> {
        Ok(from.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next whole message.
    fn next(&mut self) -> Option<Message> {
        const STARTUP: [u8; 4] = 196_608_u32.to_be_bytes();
        let head = usize::from(self.started);
        let length = self.buffer.get(head..head + 4)?;
        let end = head + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if self.buffer.len() < end {
            return None;
        }
        let bytes: Vec<u8> = self.buffer.drain(..end).collect();
        let kind = self.started.then(|| bytes[0]);
        // A request for encryption comes before the startup packet and looks like one, but for its version.
        self.started = self.started || bytes.get(4..8) == Some(&STARTUP);
        Some(Message { kind, bytes })
    }
}

impl Said {
    /// Takes a message down; whether it is one of a command's own round trips.
    fn hear(&mut self, connection: u32, message: &Message) -> bool {
        let trip = match message.kind {
            Some(b'Q') => Trip::Query(self.note_transaction(connection, text(&message.bytes[5..]))),
            Some(b'S' | b'F' | b'H') => self.begun.remove(&connection).unwrap_or(Trip::Ping),
            Some(b'P') => {
                let (name, body) = (text(&message.bytes[5..]), &message.bytes[5..]);
                let statement = text(&body[name.len() + 1..]);
                *self.prepared_by.entry((connection, statement.clone())).or_default() += 1;
                self.begun.insert(connection, Trip::Prepare(statement));
                return false;
            }
            Some(b'E') => {
                self.begun.insert(connection, Trip::Execute);
                return false;
            }
            _ => return false,
        };
        let counts = matches!(trip, Trip::Query(_) | Trip::Execute);
        self.trips.push(trip);
        counts
    }

    fn note_transaction(&mut self, connection: u32, query: String) -> String {
        if query.starts_with("BEGIN") {
            self.open.insert(connection);
        } else if query.starts_with("COMMIT") || query.starts_with("ROLLBACK") {
            self.open.remove(&connection);
        }
        query
    }
}

/// A string as the protocol writes it: up to the zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
