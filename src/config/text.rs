//! Values of settings as people write them: read, and written back.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::id::QueueName;
use crate::domain::time::format_duration;
use crate::domain::time::parse_duration;

use super::QueueWeight;
use super::Wake;

/// Reads a length such as `10s`.
///
/// # Errors
///
/// If the text is no length.
pub fn length(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Reads anything that is parsed from text.
///
/// # Errors
///
/// What the type says.
pub fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Reads a count.
///
/// # Errors
///
/// If the text is not a whole number.
pub fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

/// Reads `true` or `false`, also as `1` or `0`.
///
/// # Errors
///
/// If the text is neither.
pub fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Reads an address to listen on.
///
/// # Errors
///
/// If the text is no address with a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    named
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("{text:?} is not an address with a port, such as 127.0.0.1:8090"))
}

/// Reads queues with weights, such as `default=5,mail=1`; without a weight it is 1.
///
/// # Errors
///
/// If a name or a weight is wrong; which one is said.
pub fn queues(text: &str) -> Result<Vec<QueueWeight>, String> {
    let queue = |item: &str| {
        let (name, weight) = item.split_once('=').unwrap_or((item, "1"));
        let queue = QueueName::parse(name.trim()).map_err(|error| format!("{name:?} {error}"))?;
        let weight = weight.trim().parse();
        let weight = weight.map_err(|_| format!("the weight of {name:?} is not a whole number"))?;
        Ok(QueueWeight { queue, weight })
    };
    text.split(',').map(queue).collect()
}

/// Writes queues as [`queues`] reads them.
#[must_use]
pub fn show_queues(queues: &[QueueWeight]) -> String {
    let shown = queues.iter().map(|queue| format!("{}={}", queue.queue, queue.weight));
    shown.collect::<Vec<_>>().join(",")
}

/// Reads how a node learns of work: `event-driven`, or `polling:3s`.
///
/// # Errors
///
/// If the text is neither.
pub fn wake(text: &str) -> Result<Wake, String> {
    if text == "event-driven" {
        return Ok(Wake::EventDriven);
    }
    match text.strip_prefix("polling:") {
        Some(every) => length(every).map(Wake::Polling),
        None => Err(format!("{text:?} is neither event-driven nor polling:LENGTH")),
    }
}

/// Writes how a node learns of work as [`wake`] reads it.
#[must_use]
pub fn show_wake(wake: &Wake) -> String {
    match wake {
        Wake::EventDriven => "event-driven".into(),
        Wake::Polling(every) => format!("polling:{}", format_duration(*every)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_and_wake_are_written_as_they_are_read() {
        for text in ["default=1", "default=5,mail=1", "a=1000"] {
            assert_eq!(show_queues(&queues(text).unwrap()), text);
        }
        assert_eq!(show_queues(&queues("mail, default=2").unwrap()), "mail=1,default=2");
        for text in ["event-driven", "polling:3s", "polling:250ms"] {
            assert_eq!(show_wake(&wake(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(queues("a b=1").unwrap_err().starts_with("\"a b\" contains ' '"));
        assert!(queues("mail=x").unwrap_err().contains("\"mail\""));
        assert!(queues("").unwrap_err().contains("must not be empty"));
        assert!(wake("polling").unwrap_err().contains("polling:LENGTH"));
        assert!(wake("polling:5").is_err());
    }

    #[test]
    fn only_addresses_with_a_port_are_taken() {
        for text in ["127.0.0.1:8090", "[::1]:0", "0.0.0.0:1", "localhost:80"] {
            assert!(address(text).is_ok(), "{text}");
        }
        for text in ["8090", "example.org:80", "127.0.0.1", ""] {
            assert!(address(text).unwrap_err().contains("is not an address"), "{text}");
        }
    }
}
