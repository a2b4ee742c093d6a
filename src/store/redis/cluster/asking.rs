//! Several calls at once.

use std::future::Future;
use std::time::Duration;

use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// The number of a partition or server, and what it answered.
type Answer<T, E> = (usize, Result<T, E>);

/// Makes all calls and waits for all answers, in the order of their numbers.
pub(super) async fn all<T, E, F>(calls: Vec<(usize, F)>) -> Vec<Answer<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut asked: FuturesUnordered<_> = calls.into_iter().map(numbered).collect();
    let mut answers = Vec::with_capacity(asked.len());
    gather(&mut asked, &mut answers).await;
    in_order(answers)
}

/// Makes all calls, waits for the first good answer, and then only so long for the others.
///
/// Answers what came, in the order of the numbers: one that hangs must not hold up the others.
pub(super) async fn soon<T, E, F>(
    calls: Vec<(usize, F)>,
    rest_within: Duration,
) -> Vec<Answer<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut asked: FuturesUnordered<_> = calls.into_iter().map(numbered).collect();
    let mut answers = Vec::with_capacity(asked.len());
    while let Some(answer) = asked.next().await {
        answers.push(answer);
        if answers.last().is_some_and(|(_, answer)| answer.is_ok()) {
            break;
        }
    }
    drop(timeout(rest_within, gather(&mut asked, &mut answers)).await);
    in_order(answers)
}

/// Makes all calls and waits so long. Answers what came, in the order of the numbers.
pub(super) async fn within<T, E, F>(length: Duration, calls: Vec<(usize, F)>) -> Vec<Answer<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut asked: FuturesUnordered<_> = calls.into_iter().map(numbered).collect();
    let mut answers = Vec::with_capacity(asked.len());
    drop(timeout(length, gather(&mut asked, &mut answers)).await);
    in_order(answers)
}

async fn numbered<F: Future>((number, call): (usize, F)) -> (usize, F::Output) {
    (number, call.await)
}

async fn gather<T>(asked: &mut (impl Stream<Item = T> + Unpin), answers: &mut Vec<T>) {
    while let Some(answer) = asked.next().await {
        answers.push(answer);
    }
}

fn in_order<T, E>(mut answers: Vec<Answer<T, E>>) -> Vec<Answer<T, E>> {
    answers.sort_by_key(|(number, _)| *number);
    answers
}
