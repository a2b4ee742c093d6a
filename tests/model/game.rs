//! One sequence, played on one store or on two.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::domain::time::Timestamp;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::memory::MemoryStore;

use crate::call::Call;
use crate::call::Picture;
use crate::call::Reply;
use crate::history::Event;
use crate::history::History;
use crate::history::Judgement;
use crate::moving;
use crate::player::Player;
use crate::step::Act;
use crate::step::Step;

/// Which stores play.
#[derive(Clone, Debug)]
pub(crate) enum Stores {
    Memory,
    /// The URL is that of the server.
    #[cfg(feature = "redis")]
    MemoryAndRedis(String),
    /// Tasks in one partition. The URL is that of the cluster.
    #[cfg(feature = "redis")]
    MemoryAndCluster(String),
    /// Tasks in all partitions, without unique keys, which would have to be in those of their tasks.
    #[cfg(feature = "redis")]
    Cluster(String),
    /// The URL is that of the database.
    #[cfg(feature = "mysql")]
    MemoryAndMysql(String),
    /// The URL is that of the file.
    #[cfg(feature = "sqlite")]
    MemoryAndSqlite(String),
}

impl Stores {
    /// What can be asked of these stores.
    fn fit(&self, act: &Act) -> Act {
        #[cfg_attr(
            not(feature = "redis"),
            expect(unused_mut, reason = "only a cluster has wishes")
        )]
        let mut act = act.clone();
        #[cfg(feature = "redis")]
        if let (Self::Cluster(_), Act::Add { tasks, .. }) = (self, &mut act) {
            for shape in tasks {
                shape.key = None;
            }
        }
        act
    }

    /// Empty ones that share a clock; the first is the model of the others.
    async fn fresh(&self, clock: &ManualClock) -> Vec<Arc<dyn Store>> {
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&shared), options()));
        match self {
            Self::Memory => vec![memory],
            #[cfg(feature = "redis")]
            Self::MemoryAndRedis(url) => {
                use taskshed::store::redis::RedisStore;

                let redis = RedisStore::open(url, options()).unwrap();
                vec![memory, Arc::new(redis.with_clock(shared))]
            }
            #[cfg(feature = "redis")]
            Self::MemoryAndCluster(url) => {
                use crate::gathered::Gathered;

                let options = options();
                let tag = options.namespace.to_string();
                let cluster = cluster(url, options, shared).await;
                vec![memory, Arc::new(Gathered::of(cluster, &tag))]
            }
            #[cfg(feature = "redis")]
            Self::Cluster(url) => vec![cluster(url, options(), shared).await],
            #[cfg(feature = "mysql")]
            Self::MemoryAndMysql(url) => {
                use taskshed::store::mysql::MysqlStore;

                let mysql = MysqlStore::open(url, options()).unwrap().with_clock(shared);
                mysql.migrate().await.unwrap();
                mysql.prepare().await.unwrap();
                vec![memory, Arc::new(mysql)]
            }
            #[cfg(feature = "sqlite")]
            Self::MemoryAndSqlite(url) => {
                use taskshed::store::sqlite::SqliteStore;

                let sqlite = SqliteStore::open(url, options()).unwrap().with_clock(shared);
                sqlite.prepare().await.unwrap();
                vec![memory, Arc::new(sqlite)]
            }
        }
    }
}

#[cfg(feature = "redis")]
async fn cluster(url: &str, options: Options, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    use taskshed::store::redis::ClusterStore;

    let store = ClusterStore::open(url, options).unwrap().with_clock(clock);
    store.prepare().await.unwrap();
    Arc::new(store)
}

struct Game {
    kinds: Stores,
    clock: ManualClock,
    stores: Vec<Arc<dyn Store>>,
    player: Player,
    history: History,
    picture: Picture,
}

/// Plays `steps` in fresh stores.
pub(crate) async fn play(steps: &[Step], stores: &Stores) -> Judgement {
    let mut game = Game::new(stores).await?;
    for (at, step) in steps.iter().enumerate() {
        game.play(step).await.map_err(|problem| format!("step {at}, {:?}: {problem}", step.act))?;
    }
    Ok(())
}

impl Game {
    async fn new(kinds: &Stores) -> Result<Self, String> {
        let clock = ManualClock::at(Timestamp::from_us(1_800_000_000_000_000));
        let stores = kinds.fresh(&clock).await;
        let picture = picture(&*stores[0]).await?;
        let (player, history) = (Player::default(), History::default());
        Ok(Self { kinds: kinds.clone(), clock, stores, player, history, picture })
    }

    /// The game goes on in fresh stores, each with the tasks of another one.
    async fn move_on(&mut self) -> Judgement {
        let fresh = self.kinds.fresh(&self.clock).await;
        for (at, to) in fresh.iter().enumerate() {
            let from = &self.stores[(at + 1) % self.stores.len()];
            moving::move_all(&**from, &**to).await?;
        }
        self.stores = fresh;
        self.history.move_on();
        self.picture = self.show().await?;
        Ok(())
    }

    async fn play(&mut self, step: &Step) -> Judgement {
        match step.act {
            Act::Move => return self.move_on().await,
            Act::Pass(ms) => self.clock.advance(Duration::from_millis(ms)),
            Act::Back(ms) => {
                let earlier = self.clock.wall().minus(Duration::from_millis(ms));
                self.clock.set_wall(earlier);
            }
            _ => {}
        }
        let act = self.kinds.fit(&step.act);
        let Some(call) = self.player.call(&act, self.clock.wall()) else {
            self.picture = self.show().await?;
            return Ok(());
        };

        let first = self.make(&call).await?;
        if step.reply_lost {
            let after_first = self.picture.clone();
            let second = self.make(&call).await?;
            if call.settles(&first) && !after_first.is_like(&self.picture) {
                return Err(format!("the repeat changed {after_first:#?} to {:#?}", self.picture));
            }
            self.player.learn(&call, &second, self.clock.wall());
        } else {
            self.player.learn(&call, &first, self.clock.wall());
        }
        Ok(())
    }

    /// Makes a call in each store and judges it.
    async fn make(&mut self, call: &Call) -> Result<Reply, String> {
        let mut replies = Vec::new();
        for store in &self.stores {
            replies.push(call.make(&**store).await.map_err(|error| format!("{error:?}"))?);
        }
        let reply = replies[0].clone();
        for (store, other) in self.stores.iter().zip(&replies).skip(1) {
            if *other != reply {
                return Err(format!("{} answered {other:#?}, memory {reply:#?}", store.name()));
            }
        }
        let after = self.show().await?;
        let event = Event {
            now: self.clock.wall(),
            call,
            reply: &reply,
            before: &self.picture,
            after: &after,
        };
        self.history.judge(&event)?;
        self.picture = after;
        Ok(reply)
    }

    /// What all stores show alike.
    async fn show(&self) -> Result<Picture, String> {
        let shown = picture(&*self.stores[0]).await?;
        for store in &self.stores[1..] {
            let other = picture(&**store).await?;
            if other != shown {
                return Err(format!("{} shows {other:#?}, memory {shown:#?}", store.name()));
            }
        }
        Ok(shown)
    }
}

async fn picture(store: &dyn Store) -> Result<Picture, String> {
    Picture::of(store).await.map_err(|error| format!("{error:?}"))
}

/// Short times, in a namespace of its own.
fn options() -> Options {
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let namespace = format!("game{}", COUNT.fetch_add(1, Ordering::Relaxed));
    Options {
        namespace: namespace.parse().unwrap(),
        keep_cancelled: Duration::from_secs(20),
        keep_expired: Duration::from_secs(20),
        keep_dead: Duration::from_secs(40),
        ..Options::default()
    }
}
