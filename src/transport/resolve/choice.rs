//! What the records of a domain say about where to go: NAPTR by order and preference, SRV by priority and
//! weight (RFC 3263 §4.1, RFC 3403 §4.1, RFC 2782).
//!
//! Weights are a lottery that is drawn anew for every look-up, not an order: the random numbers are passed
//! in. A SRV record with the target `.` says that there is no such service, which is not the same as no
//! record.

use std::net::IpAddr;

use crate::sip::flow::Transport;

/// One record of an answer, as far as SIP has a use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Srv(Srv),
    Naptr(Naptr),
}

impl Record {
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Srv(_) | Self::Naptr(_) => None,
        }
    }
}

/// Where a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Without its last dot; empty for `.`.
    pub(super) target: String,
}

/// Which services a domain has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) services: String,
    pub(super) has_regexp: bool,
    /// The name to ask for SRV records, without its last dot.
    pub(super) replacement: String,
}

/// Numbers from 0 to the one given, inclusive, all equally likely.
pub(super) type Draw<'d> = dyn FnMut(u32) -> u32 + 'd;

/// The transports that `records` offer and `usable` allows, best first, each with the name of its SRV
/// records.
///
/// Only the lowest order among them counts: a higher one is not for those who could have used a lower one.
pub(super) fn services(records: &[Record], usable: impl Fn(Transport) -> bool) -> Vec<(Transport, String)> {
    let mut found: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Naptr(naptr) => Some((naptr.transport().filter(|transport| usable(*transport))?, naptr)),
            Record::Address(_) | Record::Srv(_) => None,
        })
        .collect();
    found.sort_by_key(|(_, naptr)| (naptr.order, naptr.preference));
    let lowest = found.first().map(|(_, naptr)| naptr.order);
    found.retain(|(_, naptr)| Some(naptr.order) == lowest);
    found.into_iter().map(|(transport, naptr)| (transport, naptr.replacement.clone())).collect()
}

impl Naptr {
    /// What the record leads to; `None` when it is not about SIP, or not about a SRV record.
    fn transport(&self) -> Option<Transport> {
        let leads_to_srv = self.flags.eq_ignore_ascii_case("s") && !self.has_regexp;
        match self.services.to_ascii_uppercase().as_str() {
            "SIP+D2U" if leads_to_srv => Some(Transport::Udp),
            "SIP+D2T" if leads_to_srv => Some(Transport::Tcp),
            "SIPS+D2T" if leads_to_srv => Some(Transport::Tls),
            _ => None,
        }
    }
}

/// The servers in the order to try them, without those that say there is none.
pub(super) fn servers(records: &[Record], draw: &mut Draw<'_>) -> Vec<Srv> {
    let mut rest: Vec<&Srv> = records
        .iter()
        .filter_map(|record| match record {
            Record::Srv(srv) if !srv.target.is_empty() => Some(srv),
            Record::Srv(_) | Record::Address(_) | Record::Naptr(_) => None,
        })
        .collect();
    rest.sort_by_key(|srv| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        let equals = rest.iter().take_while(|srv| srv.priority == first.priority).count();
        let winner = lottery(rest.get(..equals).unwrap_or_default(), draw);
        ordered.push(rest.remove(winner).clone());
    }
    ordered
}

/// RFC 2782: the first whose sum of weights so far reaches a number between 0 and the sum of all. Weights of
/// 0 stand at the beginning, and so have a small chance even beside others.
fn lottery(equals: &[&Srv], draw: &mut Draw<'_>) -> usize {
    let total = equals.iter().map(|srv| u32::from(srv.weight)).fold(0, u32::saturating_add);
    let drawn = draw(total);
    let mut sum = 0_u32;
    let reaches = |srv: &&Srv| {
        sum = sum.saturating_add(srv.weight.into());
        sum >= drawn
    };
    equals.iter().position(reaches).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_order_wins_and_preference_decides_within_it() {
        let records = [
            naptr(20, 1, "s", "SIP+D2U", "late"),
            naptr(10, 50, "S", "sip+d2u", "second"),
            naptr(10, 5, "s", "SIP+D2T", "first"),
        ];

        assert_eq!(chosen(&records), ["tcp first", "udp second"]);
    }

    #[test]
    fn records_that_lead_to_no_srv_of_ours_are_left_out_before_the_order_counts() {
        let records = [
            naptr(1, 1, "s", "SIP+D2S", "sctp"),
            naptr(1, 1, "u", "E2U+sip", "enum"),
            naptr(2, 1, "a", "SIP+D2U", "address"),
            naptr(3, 1, "s", "SIP+D2U", "usable"),
        ];
        let mut with_regexp = naptr(1, 1, "s", "SIP+D2U", "regexp");
        if let Record::Naptr(naptr) = &mut with_regexp {
            naptr.has_regexp = true;
        }

        assert_eq!(chosen(&records), ["udp usable"]);
        assert_eq!(chosen(&[with_regexp]), [""; 0]);
    }

    #[test]
    fn a_transport_without_a_listener_is_not_chosen() {
        let records = [naptr(1, 1, "s", "SIP+D2U", "udp"), naptr(2, 1, "s", "SIP+D2T", "tcp")];

        let services = services(&records, |transport| transport == Transport::Tcp);

        assert_eq!(services, [(Transport::Tcp, "tcp".to_owned())]);
    }

    #[test]
    fn servers_of_a_lower_priority_come_first_whatever_their_weight() {
        let records = [srv(20, 65_535, "backup"), srv(10, 0, "main")];

        assert_eq!(order(&records, |total| total), ["main", "backup"]);
    }

    #[test]
    fn the_number_drawn_picks_by_running_sums_of_weights() {
        let records = [srv(1, 10, "ten"), srv(1, 30, "thirty"), srv(1, 0, "zero")];

        for (drawn, first) in [(0, "zero"), (1, "ten"), (10, "ten"), (11, "thirty"), (40, "thirty")] {
            assert_eq!(order(&records, |total| if total == 40 { drawn } else { 0 })[0], first, "{drawn}");
        }
    }

    #[test]
    fn each_place_is_drawn_among_those_that_are_left() {
        let records = [srv(1, 10, "ten"), srv(1, 30, "thirty"), srv(1, 60, "sixty")];
        let mut totals = Vec::new();

        let order = order(&records, |total| {
            totals.push(total);
            total
        });

        assert_eq!(order, ["sixty", "thirty", "ten"]);
        assert_eq!(totals, [100, 40, 10]);
    }

    #[test]
    fn shares_follow_the_weights() {
        let records = [srv(1, 75, "three"), srv(1, 25, "one")];

        let firsts =
            (0..=100).filter(|drawn| order(&records, |total| *drawn.min(&total))[0] == "three").count();

        assert!((74..=77).contains(&firsts), "{firsts} of 101");
    }

    #[test]
    fn a_dot_as_target_is_no_server() {
        assert_eq!(order(&[srv(1, 1, "")], |total| total), [""; 0]);
    }

    fn chosen(records: &[Record]) -> Vec<String> {
        let services = services(records, |_| true);
        services.iter().map(|(transport, name)| format!("{} {name}", transport.param())).collect()
    }

    fn order(records: &[Record], mut draw: impl FnMut(u32) -> u32) -> Vec<String> {
        servers(records, &mut draw).into_iter().map(|srv| srv.target).collect()
    }

    fn srv(priority: u16, weight: u16, target: &str) -> Record {
        Record::Srv(Srv { priority, weight, port: 5060, target: target.to_owned() })
    }

    fn naptr(order: u16, preference: u16, flags: &str, services: &str, replacement: &str) -> Record {
        Record::Naptr(Naptr {
            order,
            preference,
            flags: flags.to_owned(),
            services: services.to_owned(),
            has_regexp: false,
            replacement: replacement.to_owned(),
        })
    }
}
