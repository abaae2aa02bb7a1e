//! Addresses that several parts read alike: the ones that peers are told, and the ones that sockets are bound
//! to.
//!
//! `advertise` stands in two sections whose parts do not see each other; this is the one place they share.

use std::net::IpAddr;

use super::place::KeyPath;
use super::problem::Mistake;
use super::review::Review;

/// An address that peers can be told.
///
/// # Errors
///
/// The text is no address, or one that nobody can send to.
pub fn parse_advertised(text: &str) -> Result<IpAddr, Mistake> {
    let instead = "write the address that peers reach, such as \"203.0.113.10\"";
    let address: IpAddr =
        text.parse().map_err(|_| Mistake::new(format!("\"{text}\" is no IP address"), instead))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(Mistake::new(format!("nobody can send to {address}"), instead));
    }
    Ok(address)
}

/// Reports a second address of the same family at `path`: peers could be told only one.
pub fn check_one_per_family(addresses: &[IpAddr], path: &KeyPath, review: &mut Review<'_>) {
    if review.is_broken(path) {
        return;
    }
    for (index, address) in addresses.iter().enumerate() {
        let mut earlier = addresses.iter().take(index);
        let Some(first) = earlier.find(|first| first.is_ipv4() == address.is_ipv4()) else { continue };
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let what = format!("`{}` holds two {family} addresses, {first} and {address}", path.last());
        review.mistake(&path.index(index), Mistake::new(what, "keep one per address family"));
    }
}

/// Reports an empty list at `path`, and what stands in it twice.
pub fn check_sockets<T: PartialEq>(sockets: &[T], path: &KeyPath, example: &str, review: &mut Review<'_>) {
    if review.is_broken(path) {
        return;
    }
    let key = path.last().to_owned();
    if sockets.is_empty() {
        let instead = format!("name at least one, such as \"{example}\"");
        review.mistake(path, Mistake::new(format!("`{key}` is empty"), instead));
    }
    for (index, socket) in sockets.iter().enumerate() {
        if sockets.iter().take(index).any(|earlier| earlier == socket) {
            let what = format!("this stands in `{key}` twice");
            review.mistake(&path.index(index), Mistake::new(what, "take one out"));
        }
    }
}
