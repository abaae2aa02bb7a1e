//! Whose number a call shows: caller ID toward trunks, the caller's own toward Retell, and privacy (RFC 3323,
//! RFC 3325).
//!
//! Toward a trunk the *given* caller is `X-Original-CLID`, else From. It is *ours* when it is in
//! `[[numbers]]` or is one of the trunk's own caller IDs; any other is foreign (the caller of a warm
//! transfer). The first line that fits decides:
//!
//! | | `caller_ids` | `caller_id` | neither |
//! |---|---|---|---|
//! | `caller_id = "anonymous"`, or `Privacy: user` came with it | withheld | withheld | withheld |
//! | foreign, `foreign_caller = "keep"` | given | given | given |
//! | foreign, `foreign_caller = "diversion"` | given, the next one diverts | given, it diverts | given |
//! | foreign with `"replace"`, or ours | the next one | it | given |
//!
//! `Privacy: user` hides who calls in From (RFC 3323 §4.2). `id` is passed on and hides P-Asserted-Identity
//! alone (RFC 3325 §9.3): From is what its sender chose to show. `header` and `session` ask for what a
//! back-to-back user agent does to every call. Toward Retell the given caller is P-Asserted-Identity's, else
//! From's, where the trunk has `trust_identity`: its carrier has checked that number, and From is what
//! somebody wrote.
//!
//! With `foreign_caller = "refuse"` a call of a foreign caller never comes this far; where Retell cannot take
//! a call, its fallback is no call of a foreigner's own and goes as with `"replace"`.
//!
//! So `X-Original-CLID` never overrides a configured caller ID, except as the foreign caller that a rule
//! keeps. A configured caller ID is sent as written, because some trunks want an account name there; the
//! given caller is sent in E.164 when it can be read as a number. The rotation moves on only when it is used.

use super::Peer;
use super::config::{CallerId, ForeignCaller};
use super::normalise::Country;
use super::numbers::Numbers;
use super::parties;
use super::plan::Refusal;
use super::pool::{Access, Pool};
use super::steps::Trace;
use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;

/// What a trunk's configuration says of callers.
#[derive(Clone, Debug)]
pub(super) struct CallerPolicy {
    pub(super) id: CallerId,
    pub(super) foreign: ForeignCaller,
    /// The numbers of `caller_ids`, and those that are ours to show.
    pub(super) pool: Pool,
}

impl CallerPolicy {
    /// The caller that came with the call.
    pub(super) fn as_given() -> Self {
        Self { id: CallerId::FromCall, foreign: ForeignCaller::Keep, pool: Pool::default() }
    }
}

/// The caller as shown to the callee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// User part of From; `anonymous` when withheld.
    pub(super) number: String,
    /// The display name that came with it, if the number it belongs to is still shown.
    pub(super) display: Option<String>,
    /// Whether From must not identify anyone.
    pub(super) withheld: bool,
    /// The number withheld, for a trunk that keeps it to itself.
    pub(super) asserted: Option<String>,
    /// Our number, as the one that diverted a foreign caller's call.
    pub(super) diverting: Option<String>,
    /// Whether the user part is the one that came in From.
    pub(super) unchanged: bool,
}

/// What says who calls in place of From.
pub(super) enum Instead {
    /// `X-Original-CLID`, from Retell.
    Clid(String),
    /// P-Asserted-Identity, from a trunk that is trusted with it.
    Asserted(NameAddr),
}

/// Who calls, before any rule: the given caller.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// In E.164 when it can be read as a number.
    pub(super) number: String,
    display: Option<String>,
    unchanged: bool,
    private: bool,
}

impl Given {
    /// The caller in what stands for From, else in `from`, and whether `invite` asks for privacy; numbers are
    /// read with `country`.
    pub(super) fn read(
        invite: &Message,
        from: NameAddr,
        instead: Option<Instead>,
        country: Country,
        trace: &mut Trace<'_>,
    ) -> Self {
        let received = from.uri.user.as_deref().unwrap_or_default();
        let number_of =
            |who: &NameAddr| parties::number_in(&who.uri).unwrap_or(ANONYMOUS.into()).into_owned();
        let (written, source, display) = match instead {
            Some(Instead::Clid(clid)) => (clid, ORIGINAL_CLID, None),
            Some(Instead::Asserted(who)) => (number_of(&who), Name::PAssertedIdentity.as_str(), who.display),
            None => (number_of(&from), Name::From.as_str(), from.display.clone()),
        };
        let reading = country.read(&written);
        let form = reading.as_ref().map(|reading| reading.form);
        let number = reading.map_or_else(|| written.clone(), |reading| reading.number.into_owned());
        trace.note("caller", || {
            let how = form.map_or("not a number, so it stays as it is", super::normalise::Form::describe);
            (number.clone(), format!("{source} says {written}: {how}"))
        });
        Self {
            unchanged: source != ORIGINAL_CLID && number == received,
            display: display.filter(|display| *display != received && *display != written),
            private: parties::asks_privacy(invite, &[b"user"]),
            number,
        }
    }

    /// Toward Retell the caller is shown as it came.
    pub(super) fn toward_retell(self, trace: &mut Trace<'_>) -> Caller {
        if self.private {
            return Caller::withheld("Privacy: user came with the call", None, trace);
        }
        trace.note("from", || (self.number.clone(), "the caller, toward Retell".to_owned()));
        self.shown(None)
    }

    /// Toward `trunk` its caller ID rules decide; see the head of this file.
    pub(super) fn toward_trunk(
        self,
        trunk: &Peer,
        callee: &str,
        numbers: &Numbers,
        access: Access<'_>,
        trace: &mut Trace<'_>,
    ) -> Result<Caller, Refusal> {
        let policy = &trunk.caller;
        if policy.id == CallerId::Withheld {
            let key = trunk.key("caller_id");
            return Ok(Caller::withheld("caller_id = \"anonymous\" of the trunk", Some(key), trace));
        }
        if !self.private {
            return self.chosen(trunk, callee, numbers, access, trace);
        }
        let asserted = match trunk.spelling.trust_identity {
            true => Some(self.chosen(trunk, callee, numbers, access, &mut Trace::off())?.number),
            false => None,
        };
        Ok(Caller { asserted, ..Caller::withheld("Privacy: user came with the call", None, trace) })
    }

    /// The caller that `trunk`'s rules choose.
    fn chosen(
        self,
        trunk: &Peer,
        callee: &str,
        numbers: &Numbers,
        access: Access<'_>,
        trace: &mut Trace<'_>,
    ) -> Result<Caller, Refusal> {
        let policy = &trunk.caller;
        let keeps = matches!(policy.foreign, ForeignCaller::Keep | ForeignCaller::Diversion);
        let is_kept = keeps && self.is_foreign(trunk, numbers);
        if is_kept && policy.foreign == ForeignCaller::Keep {
            let rule = "foreign_caller = \"keep\": not in [[numbers]] or caller_id(s)";
            trace.note("from", || (self.number.clone(), rule.to_owned())).by(|| trunk.key("foreign_caller"));
            return Ok(self.shown(None));
        }
        let (key, ours, why) = match &policy.id {
            CallerId::Rotating(_) => {
                let left_s = access.left_of_day_s();
                let turn = access.turn(&trunk.name, &policy.pool, callee);
                let turn = turn.ok_or(Refusal::CallerIdsSpent { left_s })?;
                ("caller_ids", Some(turn.number), turn.why)
            }
            CallerId::Fixed(number) => ("caller_id", Some(number.as_str()), None),
            CallerId::FromCall | CallerId::Withheld => ("caller_id", None, None),
        };
        let Some(ours) = ours else {
            trace
                .note("from", || (self.number.clone(), "the trunk has no caller_id".to_owned()))
                .by(|| trunk.key("name"));
            return Ok(self.shown(None));
        };
        if is_kept {
            let rule = || format!("foreign_caller = \"diversion\": diverted by {ours} ({key})");
            trace.note("from", || (self.number.clone(), rule())).by(|| trunk.key("foreign_caller"));
            return Ok(self.shown(Some(ours.to_owned())));
        }
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        trace.note("from", || (ours.to_owned(), format!("{key} of the trunk{why}"))).by(|| trunk.key(key));
        Ok(self.replaced(ours))
    }

    /// Shown without a look at any rule: who calls for help is not kept waiting for a number.
    pub(super) fn shown_anyway(self) -> Caller {
        self.shown(None)
    }

    /// Refuses a foreign caller where the trunk has it so; whoever withholds its number shows none.
    pub(super) fn check_owned(&self, trunk: &Peer, numbers: &Numbers) -> Result<(), Refusal> {
        let policy = &trunk.caller;
        let shows_it = policy.id != CallerId::Withheld && !self.private;
        if shows_it && policy.foreign == ForeignCaller::Refuse && self.is_foreign(trunk, numbers) {
            return Err(Refusal::ForeignCaller { trunk: trunk.name.clone() });
        }
        Ok(())
    }

    /// Whether the number is not in `owned`; without that key: neither in `[[numbers]]` nor one
    /// of the trunk's caller IDs.
    fn is_foreign(&self, trunk: &Peer, numbers: &Numbers) -> bool {
        let is_own = || trunk.caller.id.holds(&self.number, trunk.country) || numbers.owns(&self.number);
        !trunk.caller.pool.owns(&self.number).unwrap_or_else(is_own)
    }

    fn replaced(self, ours: &str) -> Caller {
        Caller {
            unchanged: self.unchanged && self.number == ours,
            display: self.display.filter(|_| self.number == ours),
            number: ours.to_owned(),
            withheld: false,
            asserted: None,
            diverting: None,
        }
    }

    fn shown(self, diverting: Option<String>) -> Caller {
        Caller {
            number: self.number,
            display: self.display,
            withheld: false,
            asserted: None,
            diverting,
            unchanged: self.unchanged,
        }
    }
}

impl Caller {
    fn withheld(why: &str, key: Option<String>, trace: &mut Trace<'_>) -> Self {
        let noted = trace.note("from", || (ANONYMOUS.to_owned(), format!("withheld: {why}")));
        if let Some(key) = key {
            noted.by(|| key);
        }
        Self {
            number: ANONYMOUS.to_owned(),
            display: None,
            withheld: true,
            asserted: None,
            diverting: None,
            unchanged: false,
        }
    }
}

impl CallerId {
    /// Whether `number` is one of the configured caller IDs, which may be written as `country` dials them.
    fn holds(&self, number: &str, country: Country) -> bool {
        let is_it =
            |own: &String| own == number || country.read(own).is_some_and(|reading| reading.number == number);
        match self {
            Self::FromCall | Self::Withheld => false,
            Self::Fixed(own) => is_it(own),
            Self::Rotating(own) => own.iter().any(|own| is_it(&own.number)),
        }
    }
}

/// `X-Original-CLID`: a number, or a URI with or without `<>`.
pub(super) fn original_clid(invite: &Message) -> Option<String> {
    let value = invite.value_named(ORIGINAL_CLID)?;
    let text = std::str::from_utf8(&value).ok()?.trim();
    let is_uri = ["sip:", "sips:", "tel:"].iter().any(|scheme| text.to_ascii_lowercase().contains(scheme));
    if is_uri {
        let address = NameAddr::parse(text.as_bytes()).ok()?;
        return parties::number_in(&address.uri).map(std::borrow::Cow::into_owned);
    }
    let is_clean = !text.is_empty() && !text.chars().any(|character| character.is_control());
    is_clean.then(|| text.to_owned())
}

/// Retell's header for the number a call shall show; never passed on.
pub(super) const ORIGINAL_CLID: &str = "X-Original-CLID";

/// User part of a From that identifies nobody (RFC 3323 §4.1.1.3).
pub(super) const ANONYMOUS: &str = "anonymous";
