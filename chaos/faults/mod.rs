//! What can be done to a cluster. Each fault begins, lasts a while, and is healed.

mod mariadb;
mod network;
mod nodes;
mod redis;
mod server;
mod sqlite;

use crate::Failure;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::fleet::Kind;
use crate::fleet::Needs;

/// One thing that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillNode,
    KillLeader,
    KillAll,
    Leave,
    Upgrade,
    FreezeNode,
    FreezeLeader,
    Poison,
    Starve,
    EatMemory,
    BlockRuntime,
    SlowNetwork,
    CutNetwork,
    HalfOpen,
    LoseReplies,
    KillServer,
    FreezeServer,
    PauseRedis,
    FlushScripts,
    FailOver,
    ReadOnlyRedis,
    FullRedis,
    KillConnections,
    ReadOnlyMariadb,
    NoConnections,
    LockFile,
    MoveClock,
}

impl Fault {
    /// All.
    pub(crate) const ALL: [Self; 27] = [
        Self::KillNode,
        Self::KillLeader,
        Self::KillAll,
        Self::Leave,
        Self::Upgrade,
        Self::FreezeNode,
        Self::FreezeLeader,
        Self::Poison,
        Self::Starve,
        Self::EatMemory,
        Self::BlockRuntime,
        Self::SlowNetwork,
        Self::CutNetwork,
        Self::HalfOpen,
        Self::LoseReplies,
        Self::KillServer,
        Self::FreezeServer,
        Self::PauseRedis,
        Self::FlushScripts,
        Self::FailOver,
        Self::ReadOnlyRedis,
        Self::FullRedis,
        Self::KillConnections,
        Self::ReadOnlyMariadb,
        Self::NoConnections,
        Self::LockFile,
        Self::MoveClock,
    ];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillNode => "kill_node",
            Self::KillLeader => "kill_leader",
            Self::KillAll => "kill_all",
            Self::Leave => "leave",
            Self::Upgrade => "upgrade",
            Self::FreezeNode => "freeze_node",
            Self::FreezeLeader => "freeze_leader",
            Self::Poison => "poison",
            Self::Starve => "starve",
            Self::EatMemory => "eat_memory",
            Self::BlockRuntime => "block_runtime",
            Self::SlowNetwork => "slow_network",
            Self::CutNetwork => "cut_network",
            Self::HalfOpen => "half_open",
            Self::LoseReplies => "lose_replies",
            Self::KillServer => "kill_server",
            Self::FreezeServer => "freeze_server",
            Self::PauseRedis => "pause_redis",
            Self::FlushScripts => "flush_scripts",
            Self::FailOver => "failover",
            Self::ReadOnlyRedis | Self::ReadOnlyMariadb => "read_only",
            Self::FullRedis => "full_redis",
            Self::KillConnections => "kill_connections",
            Self::NoConnections => "no_connections",
            Self::LockFile => "lock_file",
            Self::MoveClock => "move_clock",
        }
    }

    /// What is done, in a few words.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::KillNode => "SIGKILL of a node that does not lead",
            Self::KillLeader => "SIGKILL of the node that leads",
            Self::KillAll => "SIGKILL of all nodes at once, while they write",
            Self::Leave => "SIGTERM of a node",
            Self::Upgrade => "rolling restart as another version",
            Self::FreezeNode => "SIGSTOP of a node for ½, 1 or 3 leases",
            Self::FreezeLeader => "SIGSTOP of the leader beyond its term: two leaders",
            Self::Poison => "a handler that kills its node, twice in a row",
            Self::Starve => "a node with a tenth of a processor",
            Self::EatMemory => "a handler beyond the memory limit of its node: OOM kill",
            Self::BlockRuntime => "handlers that block all threads for 1½ leases",
            Self::SlowNetwork => "20 to 150 ms and as little as 20 kB/s on the way",
            Self::CutNetwork => "connections ended and refused for ½, 1 or 3 leases",
            Self::HalfOpen => "nothing gets through for ½, 1 or 3 leases, and nobody is told",
            Self::LoseReplies => "2 to 21 % of the replies lost after the request went through",
            Self::KillServer => "SIGKILL of the server, and a restart",
            Self::FreezeServer => "SIGSTOP of the server for ½, 1 or 3 leases",
            Self::PauseRedis => "CLIENT PAUSE for ½, 1 or 3 leases",
            Self::FlushScripts => "SCRIPT FLUSH, again and again",
            Self::FailOver => "the primary killed, its replica cut off before; replicated:1",
            Self::ReadOnlyRedis => "a primary that turns into a replica: READONLY",
            Self::ReadOnlyMariadb => "SET GLOBAL read_only",
            Self::FullRedis => "maxmemory reached",
            Self::KillConnections => "all connections killed, again and again",
            Self::NoConnections => "no free connection",
            Self::LockFile => "another process holds the lock of writers for ½, 1 or 3 leases",
            Self::MoveClock => "the store's clock moved by an hour, ahead or back, and set right",
        }
    }

    /// The stores that it can be done to.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::SlowNetwork | Self::CutNetwork | Self::HalfOpen | Self::LoseReplies => {
                &[Kind::Redis, Kind::Mariadb]
            }
            Self::KillServer | Self::FreezeServer => &[Kind::Redis, Kind::Mariadb],
            Self::PauseRedis
            | Self::FlushScripts
            | Self::FailOver
            | Self::ReadOnlyRedis
            | Self::FullRedis => &[Kind::Redis],
            Self::KillConnections | Self::ReadOnlyMariadb | Self::NoConnections => &[Kind::Mariadb],
            Self::LockFile => &[Kind::Sqlite],
            _ => &Kind::ALL,
        }
    }

    /// Whether it is done to nodes and their way to the store, and not to the store itself.
    pub(crate) fn spares_the_store(self) -> bool {
        match self {
            Self::KillServer
            | Self::FreezeServer
            | Self::PauseRedis
            | Self::FlushScripts
            | Self::FailOver
            | Self::ReadOnlyRedis
            | Self::FullRedis
            | Self::KillConnections
            | Self::ReadOnlyMariadb
            | Self::NoConnections
            | Self::LockFile
            | Self::MoveClock => false,
            Self::KillNode
            | Self::KillLeader
            | Self::KillAll
            | Self::Leave
            | Self::Upgrade
            | Self::FreezeNode
            | Self::FreezeLeader
            | Self::Poison
            | Self::Starve
            | Self::EatMemory
            | Self::BlockRuntime
            | Self::SlowNetwork
            | Self::CutNetwork
            | Self::HalfOpen
            | Self::LoseReplies => true,
        }
    }

    /// What it needs of the store.
    pub(crate) fn needs(self) -> Needs {
        match self {
            Self::MoveClock => Needs { clock: true, ..Needs::default() },
            Self::FailOver => Needs { replica: true, ..Needs::default() },
            _ => Needs::default(),
        }
    }

    /// Does it, and heals it.
    pub(crate) async fn strike(self, fleet: &mut Fleet, dice: &mut Dice) -> Result<(), Failure> {
        match self {
            Self::KillNode => nodes::kill(fleet, dice).await,
            Self::KillLeader => nodes::kill_leader(fleet, dice).await,
            Self::KillAll => nodes::kill_all(fleet, dice),
            Self::Leave => nodes::leave(fleet, dice),
            Self::Upgrade => nodes::upgrade(fleet).await,
            Self::FreezeNode => nodes::freeze(fleet, dice).await,
            Self::FreezeLeader => nodes::freeze_leader(fleet).await,
            Self::Poison => nodes::poison(fleet, dice).await,
            Self::Starve => nodes::starve(fleet, dice).await,
            Self::EatMemory => nodes::eat_memory(fleet, dice).await,
            Self::BlockRuntime => nodes::block_runtime(fleet, dice).await,
            Self::SlowNetwork => network::slow(fleet, dice).await,
            Self::CutNetwork => network::cut(fleet, dice).await,
            Self::HalfOpen => network::half_open(fleet, dice).await,
            Self::LoseReplies => network::lose_replies(fleet, dice).await,
            Self::KillServer => server::kill(fleet, dice).await,
            Self::FreezeServer => server::freeze(fleet, dice).await,
            Self::MoveClock => server::move_clock(fleet, dice).await,
            Self::PauseRedis => redis::pause(fleet, dice).await,
            Self::FlushScripts => redis::flush_scripts(fleet).await,
            Self::FailOver => redis::fail_over(fleet).await,
            Self::ReadOnlyRedis => redis::read_only(fleet, dice).await,
            Self::FullRedis => redis::full(fleet, dice).await,
            Self::KillConnections => mariadb::kill_connections(fleet).await,
            Self::ReadOnlyMariadb => mariadb::read_only(fleet, dice).await,
            Self::NoConnections => mariadb::no_connections(fleet, dice).await,
            Self::LockFile => sqlite::lock(fleet, dice).await,
        }
    }
}
