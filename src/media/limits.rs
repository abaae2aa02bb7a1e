//! How many calls the port range and the operating system's limit of open files have room for.
//!
//! A call holds up to four sockets (RTP and RTCP, two legs), so the limit of files is often the tighter
//! bound: 1,024, the usual soft limit, is 200 calls.

use std::fmt;

use super::socket::{file_limit, set_file_limit};

/// The limit of open files, before and after [`raise_file_limit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileLimit {
    /// The soft limit the process was started with.
    pub soft_before: u64,
    /// The soft limit in force.
    pub now: u64,
    /// What was asked for: the hard limit.
    pub wanted: u64,
}

/// Calls at once, by what bounds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// By `[media].ports`: a quarter of the range, for every address in `[media].listen`.
    pub by_ports: usize,
    /// By the limit of open files, less what the rest of the process needs.
    pub by_files: usize,
}

/// Raises the limit of open files to the hard limit; call once at start, before the engine.
#[must_use]
pub fn raise_file_limit() -> FileLimit {
    let Ok((soft_before, hard)) = file_limit() else {
        return FileLimit { soft_before: 0, now: 0, wanted: 0 };
    };
    let now = if set_file_limit(hard, hard).is_ok() { hard } else { soft_before };
    FileLimit { soft_before, now, wanted: hard }
}

/// Port pairs that may be open at once under the limit of files in force, so that connections, HTTP and
/// files of ours find some left.
pub(crate) fn pairs_by_files() -> usize {
    let files = file_limit().map_or(0, |(soft, _)| soft);
    let pairs = files.saturating_sub(FILES_FOR_THE_REST) / (FILES_PER_CALL / 2);
    usize::try_from(pairs).unwrap_or(usize::MAX)
}

impl Capacity {
    /// For `pairs` port pairs under the limit of open files in force.
    #[must_use]
    pub(crate) fn of(pairs: usize) -> Self {
        Self { by_ports: pairs / 2, by_files: pairs_by_files() / 2 }
    }

    /// The tighter of the two bounds.
    #[must_use]
    pub fn calls(self) -> usize {
        self.by_ports.min(self.by_files)
    }

    /// Whether the limit of open files, and not the port range, is what bounds the calls.
    #[must_use]
    pub fn bounded_by_files(self) -> bool {
        self.by_files < self.by_ports
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by_ports, by_files } = self;
        if self.bounded_by_files() {
            let wanted = *by_ports as u64 * FILES_PER_CALL + FILES_FOR_THE_REST;
            write!(
                f,
                "{by_files} calls at once: the limit of open files allows no more, though [media].ports has \
                 room for \
                 {by_ports}; raise the hard limit to {wanted} (ulimit -Hn, LimitNOFILE=, or --ulimit nofile=)"
            )
        } else {
            write!(f, "{by_ports} calls at once, a quarter of [media].ports")
        }
    }
}

/// RTP and RTCP on two legs.
const FILES_PER_CALL: u64 = 4;
/// Listeners, TCP connections, HTTP, logs.
const FILES_FOR_THE_REST: u64 = 224;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_ends_up_at_the_hard_limit() {
        let raised = raise_file_limit();

        assert_eq!(raised.now, raised.wanted);
        assert_eq!(file_limit().unwrap().0, raised.now);
    }

    #[test]
    fn the_message_names_the_bound_and_what_to_raise() {
        let by_files = Capacity { by_ports: 2_500, by_files: 200 };
        let by_ports = Capacity { by_ports: 2_500, by_files: 4_944 };

        assert_eq!((by_files.calls(), by_ports.calls()), (200, 2_500));
        assert!(by_files.to_string().contains("raise the hard limit to 10224"), "{by_files}");
        assert_eq!(by_ports.to_string(), "2500 calls at once, a quarter of [media].ports");
    }
}
