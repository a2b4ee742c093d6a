//! The scripts, each made of its first line, the prelude, and its body.

use std::sync::LazyLock;

use redis::Cmd;

use super::keys;

/// A script as the server knows it.
pub(super) struct Script {
    text: String,
    sha: String,
    writes: bool,
}

impl Script {
    fn of(body: &str) -> Self {
        Self::after(include_str!("lua/prelude.lua"), body)
    }

    /// The same for the leader alone: a mandate stands before the script's own arguments.
    fn led(body: &str) -> Self {
        let led = include_str!("lua/led.lua");
        let led = led.split_once('\n').map_or("", |(_, rest)| rest);
        Self::after(&format!("{}\n{led}", include_str!("lua/prelude.lua")), body)
    }

    /// Puts what scripts share behind the first line, where `#!lua` and its flags stand.
    fn after(shared: &str, body: &str) -> Self {
        let (shebang, rest) = body.split_once('\n').unwrap_or((body, ""));
        let text = format!("{shebang}\n{shared}\n{rest}");
        let sha = redis::Script::new(&text).get_hash().to_owned();
        Self { text, sha, writes: !shebang.contains("no-writes") }
    }

    /// Whether it may change anything.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// A call by hash of the keys under `prefix`, without arguments yet; a script that writes is to
    /// leave a mark if `marks` says so.
    pub(super) fn call(&self, prefix: &str, marks: bool) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.sha);
        if marks && self.writes {
            cmd.arg(2).arg(prefix).arg(keys::mark(prefix));
        } else {
            cmd.arg(1).arg(prefix);
        }
        cmd
    }

    /// The same call with the whole text, for a server that does not know the hash.
    pub(super) fn in_full(&self, call: &Cmd) -> Cmd {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(&self.text);
        for arg in call.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        cmd
    }
}

macro_rules! scripts {
    ($($name:ident = $made:ident $file:literal),+ $(,)?) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::$made(include_str!($file)));)+
    };
}

scripts! {
    ACK = of "lua/ack.lua",
    ADD = of "lua/add.lua",
    CAMPAIGN = of "lua/campaign.lua",
    CHANGE = of "lua/change.lua",
    CLAIM = of "lua/claim.lua",
    CLUSTER = of "lua/cluster.lua",
    DECLARE_ADD = led "lua/add.lua",
    DECLARE_CHANGE = led "lua/change.lua",
    DRAIN = of "lua/drain.lua",
    FETCH = of "lua/fetch.lua",
    GATE = of "lua/gate.lua",
    KEEPS = of "lua/keeps.lua",
    KEEP = of "lua/keep.lua",
    LEASES = of "lua/leases.lua",
    LIST = of "lua/list.lua",
    MAINTAIN = of "lua/maintain.lua",
    PREPARE = of "lua/prepare.lua",
    RAISE = of "lua/raise.lua",
    RECLAIM = of "lua/reclaim.lua",
    RESIGN = of "lua/resign.lua",
    RESTORE = of "lua/restore.lua",
    SET_ASIDE = of "lua/set_aside.lua",
    STATS = of "lua/stats.lua",
    WATCH = of "lua/watch.lua",
}
