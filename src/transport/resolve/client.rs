//! Questions to name servers (hickory-resolver), one at a time and nothing remembered.
//!
//! NAPTR and SRV are asked of the name as it stands; only addresses are also looked for in the search list of
//! `/etc/resolv.conf`. A name in `/etc/hosts` has these addresses and no services.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};

use super::choice::{Naptr, Record, Srv};
use super::memory::Answer;

/// A name and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// In lower case, without its last dot.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Naptr,
}

/// The way to the name servers.
pub(super) struct Client {
    resolver: TokioResolver,
    hosts: Hosts,
}

impl Client {
    /// Asks `servers`, or those of the system if there are none.
    pub(super) fn new(servers: &[SocketAddr]) -> io::Result<Self> {
        let (config, mut options) = if servers.is_empty() { system() } else { named(servers) };
        options.timeout = options.timeout.min(TRY);
        options.attempts = RETRIES;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(io::Error::other)?;
        let hosts = Hosts::from_system().unwrap_or_default();
        Ok(Self { resolver, hosts })
    }

    /// The addresses of `name` in `/etc/hosts`, IPv4 first; empty when it is not there.
    pub(super) fn in_hosts_file(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_ascii(name) else { return Vec::new() };
        let of_type = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [of_type(RecordType::A), of_type(RecordType::AAAA)];
        found.iter().flatten().flat_map(Lookup::answers).filter_map(|record| record.data.ip_addr()).collect()
    }

    /// Asks, and says how long the answer may be kept.
    ///
    /// # Errors
    ///
    /// Why no server has an answer. That there is no such record is an answer.
    pub(super) async fn ask(&self, question: &Question) -> Result<(Answer, Duration), String> {
        let absolute = matches!(question.kind, Kind::Srv | Kind::Naptr);
        let mut name = Name::from_ascii(&question.name).map_err(|error| error.to_string())?;
        name.set_fqdn(absolute);
        match self.resolver.lookup(name, question.kind.record_type()).await {
            Ok(lookup) => {
                let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
                let records = lookup.answers().iter().filter_map(|record| read(&record.data));
                Ok((records.take(MAX_RECORDS).collect(), Duration::from_secs(ttl.into())))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => {
                let ttl = nothing.negative_ttl.unwrap_or(NOTHING_TTL);
                Ok((Arc::new([]), Duration::from_secs(ttl.into())))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Kind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Srv => RecordType::SRV,
            Self::Naptr => RecordType::NAPTR,
        }
    }
}

/// What `/etc/resolv.conf` says; without it, as in the C library, a server on this machine.
fn system() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        tracing::warn!(%error, "no name server in /etc/resolv.conf; set [dns].servers or name hosts by \
                                address");
        named(&[SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT))])
    })
}

fn named(servers: &[SocketAddr]) -> (ResolverConfig, ResolverOpts) {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    (ResolverConfig::from_name_servers(servers.collect()), ResolverOpts::default())
}

fn read(data: &RData) -> Option<Record> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match data {
        RData::A(address) => Some(Record::Address(address.0.into())),
        RData::AAAA(address) => Some(Record::Address(address.0.into())),
        RData::SRV(srv) => Some(Record::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: host(&srv.target),
        })),
        RData::NAPTR(naptr) => Some(Record::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            services: text(&naptr.services),
            has_regexp: !naptr.regexp.is_empty(),
            replacement: host(&naptr.replacement),
        })),
        _ => None,
    }
}

fn host(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// How long all servers together have for one try, and how often more is tried.
const TRY: Duration = Duration::from_millis(1_500);
const RETRIES: usize = 1;

/// Records kept of one answer.
const MAX_RECORDS: usize = 64;

/// Seconds that the absence of a record is kept when the server does not say.
const NOTHING_TTL: u32 = 30;
