//! Whom certificates must belong to: names that stand for a number, so that a
//! [`Flow`](crate::sip::flow::Flow) stays a plain value.
//!
//! The list forgets its oldest entry when it is full; a flow of that age can use its connection, but opens no
//! other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;

use crate::sip::flow::Domain;
use crate::sip::uri::Host;

/// Who must be at the other end, and who says so.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::transport) struct Named {
    pub(in crate::transport) name: ServerName<'static>,
    /// The file of authorities; `None` is `[tls].ca`.
    pub(in crate::transport) ca: Option<PathBuf>,
}

/// The list.
#[derive(Debug, Default)]
pub(in crate::transport) struct Domains {
    /// The place of a number is its remainder.
    places: Vec<(u32, Arc<Named>)>,
    numbers: HashMap<Arc<Named>, u32>,
    next: u32,
}

impl Domains {
    /// The number of `host` as verified by `ca`; `None` when no certificate can hold such a name.
    pub(in crate::transport) fn number(&mut self, host: &Host, ca: Option<&Path>) -> Option<Domain> {
        let name = match host {
            Host::Ip(address) => ServerName::from(address.to_canonical()),
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok()?,
        };
        let named = Arc::new(Named { name, ca: ca.map(Path::to_owned) });
        if let Some(&number) = self.numbers.get(&named) {
            return Some(Domain(number));
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.numbers.insert(Arc::clone(&named), number);
        match self.places.get_mut(number as usize % MOST) {
            Some(place) => {
                let (_, oldest) = std::mem::replace(place, (number, named));
                self.numbers.remove(&oldest);
            }
            None => self.places.push((number, named)),
        }
        Some(Domain(number))
    }

    pub(in crate::transport) fn get(&self, Domain(number): Domain) -> Option<Arc<Named>> {
        let (at, named) = self.places.get(number as usize % MOST)?;
        (*at == number).then(|| Arc::clone(named))
    }
}

/// Names at once: more than a configuration has peers, and dialogs with hosts of their own at once.
const MOST: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_until_the_list_has_forgotten_it() {
        let mut domains = Domains::default();
        let mut number = |name: &str, ca: Option<&str>| {
            domains.number(&Host::parse(name.as_bytes()).unwrap(), ca.map(Path::new)).unwrap()
        };

        let first = number("carrier.example", None);
        let others = [number("carrier.example", Some("ca.pem")), number("192.0.2.1", None)];
        let again = number("carrier.example.", None);
        for place in 0..MOST {
            number(&format!("host{place}.example"), None);
        }
        let later = number("carrier.example", None);

        assert!(again == first && others[0] != first && others[1] != first && later != first);
        assert_eq!(domains.get(first), None);
        assert_eq!(domains.get(later).unwrap().name, ServerName::try_from("carrier.example").unwrap());
        assert_eq!((domains.places.len(), domains.numbers.len()), (MOST, MOST));
    }
}
