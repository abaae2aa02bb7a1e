//! A running `trunkline serve`: the real binary on loopback addresses of its own, with
//! its log, HTTP and signals.
//!
//! Every instance has a network of its own within 127.0.0.0/8, made of this process's number, so that tests
//! run side by side on the same well-known ports. Nothing here sleeps for luck: whatever is waited for is
//! asked for again until a deadline.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that should happen at once, on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// 254 loopback addresses that nobody else uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    high: u8,
    low: u8,
}

impl Net {
    pub(crate) fn new() -> Self {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let place = (std::process::id() << 4) | (TAKEN.fetch_add(1, Ordering::Relaxed) & 15);
        let [.., high, low] = place.to_be_bytes();
        Self { high: high | 128, low }
    }

    pub(crate) fn ip(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.high, self.low, host)
    }

    /// The bridge's own address; SIP is at port 5060, HTTP at 8080.
    pub(crate) fn bridge(self) -> Ipv4Addr {
        self.ip(1)
    }

    pub(crate) fn sip(self) -> SocketAddr {
        (self.bridge(), 5060).into()
    }

    pub(crate) fn http(self) -> SocketAddr {
        (self.bridge(), 8080).into()
    }

    pub(crate) fn retell(self) -> Ipv4Addr {
        self.ip(2)
    }

    pub(crate) fn trunk(self) -> Ipv4Addr {
        self.ip(3)
    }

    pub(crate) fn stranger(self) -> Ipv4Addr {
        self.ip(66)
    }

    /// The part of the configuration that opens sockets and files.
    pub(crate) fn sockets(self) -> String {
        let bridge = self.bridge();
        format!(
            "[sip]\nlisten = [\"udp:{bridge}:5060\", \"tcp:{bridge}:5060\"]\n\
             [media]\nlisten = [\"{bridge}\"]\nports = [20000, 29999]\n\
             [http]\nlisten = \"{bridge}:8080\"\n\
             [records]\nfile = \"calls.jsonl\"\n"
        )
    }

    /// A `[[retell]]` at [`Self::retell`] that is known by its address.
    pub(crate) fn retell_peer(self) -> String {
        let ip = self.retell();
        format!(
            "[[retell]]\nname = \"retell\"\nuri = \"sip:{ip}:5060\"\nallow = [\"{ip}\"]\n\
             trust_address = true\n"
        )
    }

    /// A trunk at `ip`.
    pub(crate) fn trunk_peer(name: &str, ip: Ipv4Addr) -> String {
        format!(
            "[[trunks]]\nname = \"{name}\"\nuri = \"sip:{ip}:5060\"\nallow = [\"{ip}\"]\ncountry = \"US\"\n"
        )
    }

    /// All of it, with one peer of each kind.
    pub(crate) fn config(self) -> String {
        self.sockets() + &self.retell_peer() + &Self::trunk_peer("carrier", self.trunk())
    }
}

/// A signal that `serve` knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    HangUp,
    Interrupt,
    Terminate,
}

/// A running bridge; killed when dropped, if it still runs.
pub(crate) struct Process {
    pub(crate) net: Net,
    child: Child,
    folder: tempfile::TempDir,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Serves `config`, and returns once it takes calls.
    pub(crate) fn start(net: Net, config: &str) -> Self {
        Self::start_in(net, config, &[], &[])
    }

    /// The same with further files beside the configuration, and with variables in the environment.
    pub(crate) fn start_in(
        net: Net,
        config: &str,
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files.iter().chain([&("config.toml", config)]) {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("trunkline"))
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (lines, writes_to) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                writes_to.lock().unwrap().push(line);
            }
        });
        let mut process = Self { net, child, folder, log };
        let deadline = Instant::now() + SOON;
        while process.status_of("/readyz") != Some(200) {
            let ended = process.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not serving: {ended:?} {:?}",
                process.log()
            );
            thread::sleep(PAUSE);
        }
        process
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let number = match signal {
            Signal::HangUp => libc::SIGHUP,
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
        };
        // SAFETY: `kill` takes two numbers; the child is not reaped while `self.child` stands,
        // so its number is its own.
        let sent = unsafe { libc::kill(libc::pid_t::try_from(self.child.id()).unwrap(), number) };
        assert_eq!(sent, 0, "{signal:?}");
    }

    /// Writes `config` and has it read; returns what the log says of that, from the
    /// first line that `decides` on.
    pub(crate) fn reload(&self, config: &str, decides: &str) -> Vec<String> {
        let before = self.log().len();
        self.write("config.toml", config);
        self.signal(Signal::HangUp);
        self.eventually(&format!("a log line with {decides:?}"), || {
            let log = self.log();
            log[before..].iter().any(|line| line.contains(decides)).then(|| log[before..].to_vec())
        })
    }

    /// The log so far, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn end_of_log(&self) -> Vec<String> {
        let log = self.log();
        log[log.len().saturating_sub(40)..].to_vec()
    }

    /// Asks until there is an answer.
    pub(crate) fn eventually<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {SOON:?}; the end of the log: {:#?}",
                self.end_of_log()
            );
            thread::sleep(PAUSE);
        }
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ended; panics when it does not.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running; the end of the log: {:#?}", self.end_of_log());
            thread::sleep(PAUSE);
        }
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
    }

    /// A GET without credentials: the whole response.
    pub(crate) fn get(&self, path: &str) -> String {
        self.http("GET", path, "").unwrap()
    }

    /// A request with further header lines, each with its line end; `None` when nobody answers.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.net.http()).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        Some(response)
    }

    /// The status of a GET; `None` when nobody answers.
    pub(crate) fn status_of(&self, path: &str) -> Option<u16> {
        self.http("GET", path, "")?.split(' ').nth(1)?.parse().ok()
    }

    /// A value in `/metrics`, by its name with labels; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// The live calls.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let response = self.get("/v1/calls");
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// The call records written so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("calls.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two times of asking.
const PAUSE: Duration = Duration::from_millis(10);
