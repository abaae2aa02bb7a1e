//! A name server on loopback with a handful of records, over UDP and TCP, that says what it was asked.
//!
//! Records are written as in a zone file, without the class: `carrier.example 60 SRV 10 5 5060
//! a.carrier.example`. An answer too long for UDP is truncated there and whole over TCP.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The server; it stops with the value.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    records: Mutex<Vec<Record>>,
    asked: watch::Sender<Vec<String>>,
    manner: watch::Sender<Manner>,
}

/// How questions are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    Truthful,
    /// Not before the manner changes.
    Holding,
    Silent,
    /// SERVFAIL.
    Failing,
    /// SERVFAIL for anything but A and AAAA.
    AddressesAlone,
}

impl NameServer {
    pub(crate) async fn start(records: &[&str]) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let shared = Arc::new(Shared {
            records: Mutex::default(),
            asked: watch::Sender::new(Vec::new()),
            manner: watch::Sender::new(Manner::Truthful),
        });
        let tasks = [
            tokio::spawn(serve_udp(Arc::new(udp), Arc::clone(&shared))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&shared))),
        ];
        let server = Self { address, shared, tasks };
        server.set(records);
        server
    }

    /// Replaces all records.
    pub(crate) fn set(&self, records: &[&str]) {
        *self.shared.records.lock().unwrap() = records.iter().map(|line| record(line)).collect();
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Every question so far, as in `A carrier.example`, with a `/tcp` behind those that came over TCP.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.borrow().clone()
    }

    /// How often `question` came.
    pub(crate) fn count(&self, question: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == question).count()
    }

    /// Waits until `question` has come that often.
    pub(crate) async fn was_asked(&self, question: &str, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        let is_enough = |all: &Vec<String>| all.iter().filter(|asked| *asked == question).count() >= times;
        asked.wait_for(is_enough).await.unwrap();
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Both sockets on one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.53:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = [0; 4_096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let (query, socket) = (Message::from_vec(&buffer[..length]).unwrap(), Arc::clone(&socket));
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let Some(answer) = shared.answer(&query, "").await else { return };
            let room = usize::from(query.max_payload());
            let whole = answer.to_vec().unwrap();
            let bytes = if whole.len() > room { answer.truncate().to_vec().unwrap() } else { whole };
            socket.send_to(&bytes, from).await.unwrap();
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { while serve_stream(&mut stream, &shared).await.is_some() {} });
    }
}

async fn serve_stream(stream: &mut TcpStream, shared: &Shared) -> Option<()> {
    let length = stream.read_u16().await.ok()?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.ok()?;
    let answer = shared.answer(&Message::from_vec(&bytes).unwrap(), "/tcp").await?.to_vec().unwrap();
    stream.write_u16(answer.len().try_into().unwrap()).await.ok()?;
    stream.write_all(&answer).await.ok()
}

impl Shared {
    async fn answer(&self, query: &Message, suffix: &str) -> Option<Message> {
        let question = query.queries.first().unwrap();
        let (name, kind) = (question.name(), question.query_type());
        let line = format!("{kind} {}{suffix}", name.to_ascii().trim_end_matches('.'));
        self.asked.send_modify(|asked| asked.push(line));
        let mut manner = self.manner.subscribe();
        let manner = *manner.wait_for(|manner| *manner != Manner::Holding).await.unwrap();

        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());
        let records = self.records.lock().unwrap();
        match manner {
            Manner::Silent | Manner::Holding => return None,
            Manner::Failing => answer.metadata.response_code = ResponseCode::ServFail,
            Manner::AddressesAlone if !kind.is_ip_addr() => {
                answer.metadata.response_code = ResponseCode::ServFail;
            }
            Manner::Truthful | Manner::AddressesAlone => {
                answer.add_answers(matching(&records, name, kind));
                if answer.answers.is_empty() {
                    let is_there = records.iter().any(|record| record.name == *name);
                    let code = if is_there { ResponseCode::NoError } else { ResponseCode::NXDomain };
                    answer.metadata.response_code = code;
                    answer.add_authority(soa());
                }
            }
        }
        Some(answer)
    }
}

/// The records of that type, behind the aliases that lead to them.
fn matching(records: &[Record], name: &Name, kind: RecordType) -> Vec<Record> {
    let of = |name: &Name| records.iter().filter(|record| record.name == *name).collect::<Vec<_>>();
    let (mut answer, mut name) = (Vec::new(), name.clone());
    while let Some(alias) = of(&name).into_iter().find(|record| record.record_type() == RecordType::CNAME) {
        answer.push(alias.clone());
        let RData::CNAME(CNAME(target)) = &alias.data else { unreachable!("its type is CNAME") };
        name = target.clone();
    }
    answer.extend(of(&name).into_iter().filter(|record| record.record_type() == kind).cloned());
    answer
}

/// Lets the absence of a record be kept for a minute.
fn soa() -> Record {
    let name = |text| Name::from_ascii(text).unwrap();
    let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 3_600, 600, 86_400, 60);
    Record::from_rdata(name("example."), 60, RData::SOA(soa))
}

fn record(line: &str) -> Record {
    let fields: Vec<_> = line.split(' ').collect();
    let number = |index: usize| fields[index].parse().unwrap();
    let name = |text: &str| Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap();
    let last = fields[fields.len() - 1];
    let data = match fields[2] {
        "A" => RData::A(A(last.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(last.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(name(last))),
        "SRV" => RData::SRV(SRV::new(number(3), number(4), number(5), name(last))),
        "NAPTR" => {
            let text = |index: usize| fields[index].as_bytes().into();
            RData::NAPTR(NAPTR::new(number(3), number(4), text(5), text(6), Box::default(), name(last)))
        }
        other => panic!("no records of type {other} here"),
    };
    Record::from_rdata(name(fields[0]), fields[1].parse().unwrap(), data)
}
