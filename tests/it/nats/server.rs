//! A `nats-server` of the test's own: on a port nobody else has, with a directory that ends with it. `scripts/ensure-nats-server.sh` installs
//! one where there is none.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// A server under a test, stopped and started at will; what it stores stays.
pub struct Server {
    pub url: String,
    dir: PathBuf,
    port: u16,
    login: Login,
    child: Option<Child>,
}

/// Who is let in.
enum Login {
    Everybody,
    Password(String, String),
    /// The public half of a key.
    Nkey(String),
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub struct Message {
    pub subject: String,
    /// `Nats-Msg-Id`.
    pub id: String,
    pub text: String,
}

impl Server {
    pub async fn start() -> Self {
        Self::begin(Login::Everybody).await
    }

    pub async fn start_guarded(user: &str, password: &str) -> Self {
        Self::begin(Login::Password(user.to_owned(), password.to_owned())).await
    }

    pub async fn start_for_nkey(public: &str) -> Self {
        Self::begin(Login::Nkey(public.to_owned())).await
    }

    async fn begin(login: Login) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = std::env::temp_dir().join(format!(
            "rundown-nats-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&dir).expect("a directory");
        // Free at this moment; the server wants to be told one, so that it is found again after a stop.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let mut server = Self {
            url: format!("nats://127.0.0.1:{port}"),
            dir,
            port,
            login,
            child: None,
        };
        server.start_again().await;
        server
    }

    pub async fn start_again(&mut self) {
        let mut command = Command::new(program());
        command
            .args([
                "--jetstream",
                "--addr",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--store_dir",
            ])
            .arg(&self.dir);
        match &self.login {
            Login::Everybody => {}
            Login::Password(user, password) => {
                command.args(["--user", user, "--pass", password]);
            }
            Login::Nkey(public) => {
                let config = self.dir.join("config");
                std::fs::write(&config, format!("authorization {{ users: [ {{ nkey: {public} }} ] }}")).expect("written");
                command.arg("--config").arg(config);
            }
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn().expect("nats-server (scripts/ensure-nats-server.sh installs it)"));
        let address = ("127.0.0.1", self.port);
        for _ in 0..1000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "nats-server did not start: {}",
            std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
        );
    }

    /// Asked to, in good order.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("a server");
        let pid = Pid::from_raw(child.id().expect("running").try_into().expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("asked");
        child.wait().await.expect("stopped");
    }

    /// As by a fault of the machine: what was acknowledged is in its files.
    pub async fn kill(&mut self) {
        self.child.take().expect("a server").kill().await.expect("killed");
    }

    async fn context(&self) -> jetstream::Context {
        let client = async_nats::ConnectOptions::new().connect(&self.url).await.expect("a connection");
        jetstream::new(client)
    }

    /// How the stream is made.
    pub async fn stream(&self) -> stream::Config {
        self.context()
            .await
            .get_stream("RUNDOWN")
            .await
            .expect("the stream")
            .cached_info()
            .config
            .clone()
    }

    pub async fn make_stream(&self, name: &str, subjects: &[&str]) {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            ..stream::Config::default()
        };
        self.context().await.create_stream(config).await.expect("a stream");
    }

    /// How many messages the stream holds; none before it is made.
    pub async fn count(&self) -> u64 {
        match self.context().await.get_stream("RUNDOWN").await {
            Ok(stream) => stream.cached_info().state.messages,
            Err(_) => 0,
        }
    }

    /// All the stream holds, in its order.
    pub async fn messages(&self) -> Vec<Message> {
        let stream = self.context().await.get_stream("RUNDOWN").await.expect("the stream");
        let last = stream.cached_info().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.expect("a message");
            messages.push(Message {
                subject: message.subject.to_string(),
                id: message.headers.get("Nats-Msg-Id").expect("an id").to_string(),
                text: String::from_utf8(message.payload.to_vec()).expect("UTF-8"),
            });
        }
        messages
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The program before its files.
        drop(self.child.take());
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Debian puts it where only root's `PATH` looks.
fn program() -> OsString {
    if let Some(named) = std::env::var_os("RUNDOWN_NATS_SERVER") {
        return named;
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&places)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|place| place.join("nats-server"))
        .find(|program| program.is_file());
    found.map_or_else(|| OsString::from("nats-server"), PathBuf::into_os_string)
}
