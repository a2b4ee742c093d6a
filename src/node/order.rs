//! In which order a claim serves queues.

use crate::config::NodeConfig;
use crate::domain::id::QueueName;

use super::dice::Dice;

/// The queues of a node.
#[derive(Debug)]
pub(super) struct QueueOrder {
    queues: Vec<(QueueName, f64)>,
    is_strict: bool,
}

impl QueueOrder {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let weighed =
            |queue: &crate::config::QueueWeight| (queue.queue.clone(), f64::from(queue.weight));
        Self {
            queues: config.queues.iter().map(weighed).collect(),
            is_strict: config.strict_queues,
        }
    }

    /// The order of one claim: as configured if strict, else drawn, so that of two queues with
    /// weights 5 and 1 the first comes first in five of six claims.
    pub(super) fn draw(&self, dice: &Dice) -> Vec<QueueName> {
        if self.is_strict || self.queues.len() == 1 {
            return self.queues.iter().map(|(queue, _)| queue.clone()).collect();
        }

        // Sorting by exponential waits with these rates draws without replacement by weight
        // (Efraimidis and Spirakis, 2006).
        let wait = |weight: f64| -(1.0 - dice.fraction()).ln() / weight;
        let mut drawn: Vec<_> =
            self.queues.iter().map(|(queue, weight)| (wait(*weight), queue)).collect();
        drawn.sort_by(|left, right| left.0.total_cmp(&right.0));
        drawn.into_iter().map(|(_, queue)| queue.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QueueWeight;
    use crate::domain::id::NodeName;

    fn config(strict_queues: bool) -> NodeConfig {
        let queue = |name, weight| QueueWeight { queue: QueueName::parse(name).unwrap(), weight };
        NodeConfig {
            queues: vec![queue("mail", 1), queue("bill", 5)],
            strict_queues,
            ..NodeConfig::new(NodeName::parse("n").unwrap())
        }
    }

    fn first_of_600(config: &NodeConfig) -> usize {
        let dice = Dice::new(Some(7), &config.name);
        let order = QueueOrder::new(config);
        (0..600).filter(|_| order.draw(&dice)[0].as_str() == "bill").count()
    }

    #[test]
    fn weights_share_the_first_place() {
        let first = first_of_600(&config(false));

        assert!((450..=550).contains(&first), "{first} of 600, 500 expected");
    }

    #[test]
    fn a_strict_order_is_kept() {
        assert_eq!(first_of_600(&config(true)), 0);
    }
}
