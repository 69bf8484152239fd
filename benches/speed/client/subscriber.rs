//! Subscribers: a process of its own that holds any number of live streams open and says when each event came on each.
//!
//! It reads by hand: at two hundred thousand deliveries a second a client library would take the cores from the daemon it listens to. It joins,
//! says `ready`, listens until it is told how far the feed went, waits until every stream is there, and writes what came of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::say;
use crate::meter;

/// How long after the load the last event may be on its way. What has not come by then is missing.
const LAST_MAY_TAKE: Duration = Duration::from_secs(15);
/// Streams that join at the same time: a handful, as a floor's screens do after a restart.
const JOIN_AT_ONCE: usize = 32;
/// Leads the correlation id of a command, before the microsecond at which it was to be sent: so an event says itself how old its command is.
pub const SENT_AT: &str = "sent-";
const SUPERSEDES: &[u8] = b"\"supersedes\":[";
const READ_AT_ONCE: usize = 64 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wish {
    pub addr: SocketAddr,
    pub token: String,
    pub streams: usize,
}

/// What was published while the load lasted: of every seq the microsecond at which its command was judged, and that of its publication.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    pub after: u64,
    pub judged: Vec<u64>,
    pub published: Vec<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arrived {
    pub deliveries: u32,
    /// A seq that a stream did not get, and one that it got again.
    pub missing: u32,
    pub twice: u32,
    /// From the moment the command was to be sent.
    pub from_sent: Took,
    /// From the moment it was judged: the last stamp before it is written and committed.
    pub from_judged: Took,
    /// From the stamp of its publication.
    pub from_published: Took,
    /// This process's own CPU while it listened.
    pub client_cpu_ms: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// Microseconds since the epoch: the one clock that all processes of a machine share.
pub fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The process's main.
pub fn run() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let wish: Wish = serde_json::from_str(&line)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arrived = LocalSet::new().block_on(&runtime, listen(&wish))?;
    say(&serde_json::to_string(&arrived)?)
}

async fn listen(wish: &Wish) -> Result<Arrived> {
    let diary = Rc::new(RefCell::new(Diary::default()));
    let mut joining = JoinSet::new();
    let mut listening = JoinSet::new();
    for nth in 0..wish.streams {
        if joining.len() >= JOIN_AT_ONCE {
            begin(&mut listening, &diary, joining.join_next().await.context("a stream")??);
        }
        joining.spawn_local(Line::join(wish.clone(), nth));
    }
    while let Some(joined) = joining.join_next().await {
        begin(&mut listening, &diary, joined?);
    }
    say("ready")?;
    let cpu = meter::cpu_ms(std::process::id())?;
    let told = tokio::select! {
        told = told() => told?,
        Some(ended) = listening.join_next() => bail!("a stream ended: {:#}", ended?),
    };
    let deadline = tokio::time::Instant::now() + LAST_MAY_TAKE;
    let wanted = wish.streams * told.published.len();
    while diary.borrow().count(&told) < wanted && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spent = meter::cpu_ms(std::process::id())? - cpu;
    diary.borrow().settle(wish.streams, &told, spent)
}

fn begin(listening: &mut JoinSet<anyhow::Error>, diary: &Rc<RefCell<Diary>>, joined: Result<Line>) {
    let diary = Rc::clone(diary);
    listening.spawn_local(async move {
        match joined {
            Ok(mut line) => line.read(&diary).await,
            Err(error) => error,
        }
    });
}

async fn told() -> Result<Told> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}

/// What came, when, on which stream.
#[derive(Default)]
struct Diary {
    came: Vec<Came>,
    /// When the command of a seq was to be sent: read from the first delivery of it.
    sent: HashMap<u64, u64>,
}

#[derive(Clone, Copy)]
struct Came {
    stream: u32,
    seq: u64,
    at: u64,
}

impl Diary {
    fn take(&mut self, stream: usize, event: &[u8], at: u64) -> Result<()> {
        let seq = number_after(event, "\"seq\":").with_context(|| format!("no seq: {}", String::from_utf8_lossy(event)))?;
        let stream = u32::try_from(stream)?;
        if let std::collections::hash_map::Entry::Vacant(unknown) = self.sent.entry(seq)
            && let Some(sent) = number_after(event, &format!("\"{SENT_AT}"))
        {
            unknown.insert(sent);
        }
        // A snapshot stands for those before it.
        if let Some(from) = find(event, SUPERSEDES) {
            let list = event[from + SUPERSEDES.len()..]
                .split(|byte| *byte == b']')
                .next()
                .unwrap_or_default();
            for seq in std::str::from_utf8(list)?.split(',').filter_map(|seq| seq.parse().ok()) {
                self.came.push(Came { stream, seq, at });
            }
        }
        self.came.push(Came { stream, seq, at });
        Ok(())
    }

    fn count(&self, told: &Told) -> usize {
        self.came.iter().filter(|came| told.index(came.seq).is_some()).count()
    }

    fn settle(&self, streams: usize, told: &Told, client_cpu_ms: f64) -> Result<Arrived> {
        let mut had = vec![false; streams * told.published.len()];
        let (mut deliveries, mut twice) = (0, 0);
        let (mut from_sent, mut from_judged, mut from_published) = (histogram()?, histogram()?, histogram()?);
        for came in &self.came {
            let Some(index) = told.index(came.seq) else { continue };
            let place = &mut had[usize::try_from(came.stream)? * told.published.len() + index];
            deliveries += 1;
            twice += u32::from(*place);
            *place = true;
            let sent = self.sent.get(&came.seq);
            let sent = sent.with_context(|| format!("event {} is of no command of the load", came.seq))?;
            from_sent.saturating_record(came.at.saturating_sub(*sent).max(1));
            from_judged.saturating_record(came.at.saturating_sub(told.judged[index]).max(1));
            from_published.saturating_record(came.at.saturating_sub(told.published[index]).max(1));
        }
        Ok(Arrived {
            deliveries,
            missing: u32::try_from(had.iter().filter(|had| !**had).count())?,
            twice,
            from_sent: Took::of(&from_sent),
            from_judged: Took::of(&from_judged),
            from_published: Took::of(&from_published),
            client_cpu_ms,
        })
    }
}

impl Told {
    fn index(&self, seq: u64) -> Option<usize> {
        let index = usize::try_from(seq.checked_sub(self.after + 1)?).ok()?;
        (index < self.published.len()).then_some(index)
    }
}

impl Took {
    fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile: f64| Duration::from_micros(micros.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// A minute at most, in microseconds.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn number_after(text: &[u8], mark: &str) -> Option<u64> {
    let rest = &text[find(text, mark.as_bytes())? + mark.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// One stream.
struct Line {
    nth: usize,
    socket: TcpStream,
    chunks: Chunks,
    /// What has come and is no whole event yet.
    unread: Vec<u8>,
}

impl Line {
    async fn join(wish: Wish, nth: usize) -> Result<Self> {
        let mut socket = TcpStream::connect(wish.addr).await.context("the daemon takes no connection")?;
        socket.set_nodelay(true)?;
        let ask = format!(
            "GET /api/v1/events/stream HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\naccept: text/event-stream\r\n\r\n",
            wish.addr, wish.token
        );
        socket.write_all(ask.as_bytes()).await?;
        let mut line = Self {
            nth,
            socket,
            chunks: Chunks::default(),
            unread: Vec::new(),
        };
        line.head().await?;
        Ok(line)
    }

    /// Until the stream says that it was joined: what is published from then on is on it.
    async fn head(&mut self) -> Result<()> {
        let mut answer = Vec::new();
        let mut begun = None;
        loop {
            let from = answer.len();
            ensure!(
                self.socket.read_buf(&mut answer).await? > 0,
                "the stream {} did not begin",
                self.nth
            );
            if begun.is_none()
                && let Some(end) = find(&answer, b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 200"), "no stream: {head}");
                ensure!(head.contains("transfer-encoding: chunked"), "not in chunks: {head}");
                self.chunks.read(&answer[end + 4..], &mut self.unread);
                begun = Some(end);
            } else if begun.is_some() {
                self.chunks.read(&answer[from..], &mut self.unread);
            }
            if let Some(end) = find(&self.unread, b"\n\n") {
                self.unread.drain(..end + 2);
                return Ok(());
            }
        }
    }

    /// Reads until the stream ends, and says why it did.
    async fn read(&mut self, diary: &RefCell<Diary>) -> anyhow::Error {
        let mut piece = Vec::with_capacity(READ_AT_ONCE);
        loop {
            piece.clear();
            match self.socket.read_buf(&mut piece).await {
                Ok(0) => return anyhow::anyhow!("stream {}: the daemon closed it", self.nth),
                Ok(_) => {}
                Err(error) => return error.into(),
            }
            let at = micros(SystemTime::now());
            self.chunks.read(&piece, &mut self.unread);
            if let Err(error) = self.events(&mut diary.borrow_mut(), at) {
                return error;
            }
        }
    }

    fn events(&mut self, diary: &mut Diary, at: u64) -> Result<()> {
        let mut read = 0;
        while let Some(end) = find(&self.unread[read..], b"\n\n") {
            let block = &self.unread[read..read + end];
            read += end + 2;
            let cut = find(&block[..block.len().min(80)], b"event: stream.cut").is_some();
            ensure!(!cut, "stream {} was cut: {}", self.nth, String::from_utf8_lossy(block));
            if find(block, b"\ndata: ").is_some() {
                diary.take(self.nth, block, at)?;
            }
        }
        self.unread.drain(..read);
        Ok(())
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, mark)
}

/// The chunked transfer coding, taken off.
#[derive(Clone, Copy, Debug)]
enum Chunks {
    Size(usize),
    Data(usize),
    /// The line's end behind a chunk.
    End,
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl Chunks {
    fn read(&mut self, mut from: &[u8], to: &mut Vec<u8>) {
        while let Some((first, rest)) = from.split_first() {
            *self = match *self {
                Self::Data(left) => {
                    let taken = left.min(from.len());
                    to.extend_from_slice(&from[..taken]);
                    from = &from[taken..];
                    if taken == left { Self::End } else { Self::Data(left - taken) }
                }
                state @ (Self::Size(_) | Self::End) => {
                    from = rest;
                    state.after(*first)
                }
            };
        }
    }

    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::End, b'\n') => Self::Size(0),
            (Self::Size(size), b'\n') => Self::Data(size),
            (Self::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
                Self::Size(digit.map_or(size, |digit| size * 16 + digit))
            }
            (state, _) => state,
        }
    }
}
