//! Claims of workers that are no nodes: take, prolong, hand back.

use axum::Extension;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;

use crate::domain::id::ClaimId;
use crate::http::Api;
use crate::http::again::Seed;
use crate::http::audit;
use crate::http::audit::Which;
use crate::http::auth::Caller;
use crate::http::body::BodyText;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;
use crate::http::wire::claim;
use crate::http::wire::claim::AckedView;
use crate::http::wire::claim::ClaimView;
use crate::http::wire::claim::RenewedView;
use crate::remote::Given;
use crate::store::Acked;

pub(in crate::http) async fn take(
    State(api): State<Api>,
    caller: Caller,
    seed: Option<Extension<Seed>>,
    BodyText(text): BodyText,
) -> Answer<Json<ClaimView>> {
    let mut asked = claim::claim(&text)?;
    if let Some(Extension(Seed(seed))) = seed {
        let drawn = || ClaimId::generate(0, std::array::from_fn(|index| seed[index]));
        asked.wish.claim_id.get_or_insert_with(drawn);
    }
    match api.desk.claim(&asked.wish, asked.wait, &api.leaving).await? {
        Given::Nothing => Ok(Json(ClaimView::of(Vec::new(), |_| None))),
        Given::Tasks(tasks) => {
            let ids: Vec<_> = tasks.iter().map(|task| &task.id).collect();
            audit::tell(&caller, "claims.take", &Which::ids(&ids), Ok(()), |()| ids.len())?;
            Ok(Json(ClaimView::of(tasks, |task| api.desk.trace_of(task))))
        }
        Given::Foreign => Err(Problem::new(Kind::Conflict, "the claim is that of another worker")),
    }
}

pub(in crate::http) async fn renew(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    BodyText(text): BodyText,
) -> Answer<Json<RenewedView>> {
    let lease = claim::renewal(&text)?;
    let gone =
        || Problem::new(Kind::Gone, "the lease is gone; its tasks run elsewhere or have ended");
    let renewed = api.desk.renew(&claim_id(id).ok_or_else(gone)?, lease).await?;
    renewed.map(|renewed| Json(RenewedView::of(renewed))).ok_or_else(gone)
}

pub(in crate::http) async fn ack(
    State(api): State<Api>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    BodyText(text): BodyText,
) -> Answer<Json<AckedView>> {
    let handed = claim::results(&text)?;
    let unknown = || Problem::new(Kind::NotFound, "no such claim");
    let id = claim_id(id).ok_or_else(unknown)?;
    let tasks: Vec<_> = handed.iter().map(|handed| handed.task.clone()).collect();
    let answer = api.desk.hand_back(&id, handed).await.map_err(Problem::from);
    let done = |acked: &Vec<Acked>| acked.iter().filter(|acked| **acked == Acked::Done).count();
    let acked = audit::tell(&caller, "claims.ack", &Which::ids(&tasks), answer, done)?;
    Ok(Json(AckedView::of(tasks, acked)))
}

fn claim_id(id: Result<Path<String>, PathRejection>) -> Option<ClaimId> {
    ClaimId::parse(&id.ok()?.0).ok()
}
