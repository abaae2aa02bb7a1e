//! What this machine refuses: secrets that are not there, addresses that are not its own, a
//! folder nobody may write.
//!
//! Nothing of it is a mistake, because a configuration may be checked where it will not run;
//! but `serve` would not start, so `check` must not call it good. A port that another program
//! holds is seen at start alone.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::reader::{KeyPath, Mistake, Review, Secret, SecretError};
use super::{Config, interfaces};
use crate::net;

/// Reports everything that would keep `serve` from starting with `config`, whose file stands in `folder`.
pub(super) fn check(config: &Config, folder: &Path, review: &mut Review<'_>) {
    let root = KeyPath::root();
    check_secret(config.http.token.as_ref(), &root.key("http").key("token"), review);
    for (path, peer) in config.routing.peers() {
        check_secret(peer.password.as_ref(), &path.key("password"), review);
    }
    let records = config.records.file.as_ref().map(|file| folder.join(file));
    check_file(records.as_deref(), may_append, &root.key("records").key("file"), review);
    check_file(config.server.state.as_deref(), may_replace, &root.key("server").key("state"), review);
    check_addresses(config, &root, review);
}

fn check_secret(secret: Option<&Secret>, path: &KeyPath, review: &mut Review<'_>) {
    if let Some(Err(error)) = secret.map(Secret::reveal) {
        let instead = match error {
            SecretError::Unset(_) => "set it, or write it into the file .env beside the configuration",
            SecretError::File(..) => "name a file that this process may read",
        };
        review.obstacle(path, Mistake::new(error, instead));
    }
}

fn check_file(
    file: Option<&Path>,
    may_write: impl Fn(&Path) -> io::Result<()>,
    path: &KeyPath,
    review: &mut Review<'_>,
) {
    if let Some(file) = file
        && let Err(error) = may_write(file)
    {
        let what = format!("{} can't be written: {error}", file.display());
        let instead = "name a file in a folder that this process may write";
        review.obstacle(path, Mistake::new(what, instead));
    }
}

fn check_addresses(config: &Config, root: &KeyPath, review: &mut Review<'_>) {
    for (index, interface) in config.routing.interfaces.iter().enumerate() {
        let here = interfaces::at(index).key("address");
        for (index, &address) in interface.address.iter().enumerate() {
            check_address(address, (address, 0).into(), &review.element(&here, index), review);
        }
    }
    let (sip, media) = (root.key("sip").key("listen"), root.key("media").key("listen"));
    let is_only = config.routing.interfaces.is_empty();
    for (index, listen) in config.sip.listen.iter().enumerate().filter(|_| is_only) {
        check_address(listen.address, listen.address, &review.element(&sip, index), review);
    }
    for (index, &address) in config.media.listen.iter().enumerate().filter(|_| is_only) {
        check_address(address, (address, 0).into(), &review.element(&media, index), review);
    }
    check_address(config.http.listen, config.http.listen, &root.key("http").key("listen"), review);
}

fn check_address(shown: impl Display, address: SocketAddr, path: &KeyPath, review: &mut Review<'_>) {
    if review.is_broken(path) {
        return;
    }
    if let Err(error) = net::may_bind(address) {
        let what = format!("{shown} can't be listened on: {error}");
        review.obstacle(path, Mistake::new(what, net::remedy(&error)));
    }
}

/// Asks without leaving a file behind.
fn may_append(file: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => may_create(file),
        opened => opened.map(drop),
    }
}

/// The same for what is written beside it and then renamed.
fn may_replace(file: &Path) -> io::Result<()> {
    may_append(file)?;
    may_create(file)
}

fn may_create(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(access(folder.unwrap_or(Path::new(".")), AccessFlags::W_OK | AccessFlags::X_OK)?)
}
