//! Safeguards that can be taken away, one at a time.

use crate::plan::FaultKind;

/// A safeguard that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// All are there.
    Nothing,
    /// An ack names its claim, and the store compares it.
    ClaimAtAck,
    /// A fence is not below the store's clock; without that it counts claims.
    FenceByClock,
    /// A lease that has expired is given a grace before it is reclaimed.
    SecondLook,
    /// A leader looks at the store as it is, and its reclaim compares what it saw.
    FreshReclaim,
    /// A task is acknowledged when its outcome is decided.
    OutcomeBeforeAck,
    /// An add is one step.
    WholeAdd,
    /// The steps of a leader name its term, and the store compares it.
    TermCheck,
    /// The keeper does not share the handlers' runtime.
    KeeperApart,
}

impl Missing {
    /// All that can be missing.
    pub(crate) const ALL: [Self; 8] = [
        Self::ClaimAtAck,
        Self::FenceByClock,
        Self::SecondLook,
        Self::FreshReclaim,
        Self::OutcomeBeforeAck,
        Self::WholeAdd,
        Self::TermCheck,
        Self::KeeperApart,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ClaimAtAck => "claim-at-ack",
            Self::FenceByClock => "fence-by-clock",
            Self::SecondLook => "second-look",
            Self::FreshReclaim => "fresh-reclaim",
            Self::OutcomeBeforeAck => "outcome-before-ack",
            Self::WholeAdd => "whole-add",
            Self::TermCheck => "term-check",
            Self::KeeperApart => "keeper-apart",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|missing| missing.name() == name)
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The fault against which it guards, which happens in each run without it.
    pub(crate) fn guards_against(self) -> Option<FaultKind> {
        match self {
            Self::FenceByClock => Some(FaultKind::Failover),
            Self::SecondLook => Some(FaultKind::StoreClock),
            Self::TermCheck => Some(FaultKind::FreezeLeader),
            Self::KeeperApart => Some(FaultKind::Block),
            _ => None,
        }
    }
}
