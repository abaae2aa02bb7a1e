//! Where a response goes (RFC 3261 §18.2.2, RFC 3581): STUB.
use super::headers::Via;
use std::net::SocketAddr;
/// UDP: rport or `force` -> source; else sent-by port at the source address when sent-by's address is the source's, else the source port.
pub fn response_destination(_via: &Via, _source: SocketAddr, _force_rport: bool) -> SocketAddr {
    todo!()
}
