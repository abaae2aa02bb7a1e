//! The routes, their answers in JSON, and every failure as `{"error": "…"}`.
//!
//! A call is gone from here the moment it ends: what it was stands in the call records.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::bans::BanView;
use super::guard::{self, Access};
use super::trunks::TrunkView;
use super::{Command, Shared};
use crate::call::record::{Direction, View};
use crate::call::timestamp::rfc3339;
use crate::id::CallId;
use crate::rtp::leg_stats::LegStats;

pub(super) fn router(shared: Shared, access: Access) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/calls", get(list_calls))
        .route("/v1/trunks", get(list_trunks))
        .route("/v1/bans", get(list_bans))
        .route("/v1/calls/{id}", get(show_call).delete(hang_up))
        .fallback(async || Failure {
            status: StatusCode::NOT_FOUND,
            error: "no such route; see /v1/calls, /v1/trunks and /v1/bans",
        })
        .method_not_allowed_fallback(async || Failure {
            status: StatusCode::METHOD_NOT_ALLOWED,
            error: "this route does not know that method; the Allow header names those it knows",
        })
        .with_state(shared)
        .layer(DefaultBodyLimit::max(guard::BODY_BYTES))
        .layer(middleware::from_fn_with_state(access, guard::admit))
}

/// An error response.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// What was wrong and what to do, for a person.
    pub(super) error: &'static str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let challenge = (self.status == StatusCode::UNAUTHORIZED)
            .then_some([(HeaderName::from_static("www-authenticate"), HeaderValue::from_static("Bearer"))]);
        (self.status, challenge, Json(serde_json::json!({ "error": self.error }))).into_response()
    }
}

async fn readyz(State(shared): State<Shared>) -> Result<&'static str, Failure> {
    if shared.ready.load(Ordering::Acquire) {
        return Ok("ready\n");
    }
    Err(Failure {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "no new calls are taken: starting or draining",
    })
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (shared.metrics)())
}

/// In the order they began.
async fn list_calls(State(shared): State<Shared>) -> Json<Vec<CallBody>> {
    let mut views: Vec<View> = shared.views.iter().map(|entry| entry.value().clone()).collect();
    views.sort_unstable_by_key(|view| (view.started_ms, view.id));
    Json(views.into_iter().map(CallBody::from).collect())
}

/// Trunks first, in file order.
async fn list_trunks(State(shared): State<Shared>) -> Result<Json<Vec<TrunkView>>, Failure> {
    let (reply, answer) = oneshot::channel();
    shared.commands.try_send(Command::Trunks { reply }).map_err(|_| BUSY)?;
    match timeout(COMMAND_TIMEOUT, answer).await {
        Ok(Ok(trunks)) => Ok(Json(trunks)),
        Ok(Err(_)) | Err(_) => Err(BUSY),
    }
}

/// The one that ends first in front.
async fn list_bans(State(shared): State<Shared>) -> Result<Json<Vec<BanView>>, Failure> {
    let (reply, answer) = oneshot::channel();
    shared.commands.try_send(Command::Bans { reply }).map_err(|_| BUSY)?;
    match timeout(COMMAND_TIMEOUT, answer).await {
        Ok(Ok(bans)) => Ok(Json(bans)),
        Ok(Err(_)) | Err(_) => Err(BUSY),
    }
}

async fn show_call(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<DetailBody>, Failure> {
    let call = call_id(id).ok_or(NO_SUCH_CALL)?;
    let view = shared.views.get(&call).map(|entry| entry.value().clone()).ok_or(NO_SUCH_CALL)?;
    let (reply, answer) = oneshot::channel();
    shared.commands.try_send(Command::Media { call, reply }).map_err(|_| BUSY)?;
    match timeout(COMMAND_TIMEOUT, answer).await {
        Ok(Ok(legs)) => Ok(Json(DetailBody {
            call: view.into(),
            legs: legs.map(|[caller, callee]| LegsBody { caller, callee }),
        })),
        Ok(Err(_)) | Err(_) => Err(BUSY),
    }
}

async fn hang_up(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Failure> {
    let call = call_id(id).ok_or(NO_SUCH_CALL)?;
    let (reply, answer) = oneshot::channel();
    shared.commands.try_send(Command::HangUp { call, reply }).map_err(|_| BUSY)?;
    match timeout(COMMAND_TIMEOUT, answer).await {
        Ok(Ok(true)) => Ok(StatusCode::NO_CONTENT),
        Ok(Ok(false)) => Err(NO_SUCH_CALL),
        Ok(Err(_)) | Err(_) => Err(BUSY),
    }
}

/// A path that is no call's identity names no call.
fn call_id(path: Result<Path<String>, PathRejection>) -> Option<CallId> {
    path.ok()?.0.parse().ok()
}

/// A live call as it is shown.
#[derive(Serialize)]
struct CallBody {
    id: String,
    direction: Direction,
    state: &'static str,
    from: String,
    to: String,
    trunk: String,
    retell: String,
    started: String,
    answered: Option<String>,
}

/// One call with what its legs carried so far.
#[derive(Serialize)]
struct DetailBody {
    #[serde(flatten)]
    call: CallBody,
    /// Absent before media ports were reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    legs: Option<LegsBody>,
}

#[derive(Serialize)]
struct LegsBody {
    caller: LegStats,
    callee: LegStats,
}

impl From<View> for CallBody {
    fn from(view: View) -> Self {
        Self {
            id: view.id.to_string(),
            direction: view.direction,
            state: view.state,
            from: view.from,
            to: view.to,
            trunk: view.trunk,
            retell: view.retell,
            started: rfc3339(view.started_ms),
            answered: view.answered_ms.map(rfc3339),
        }
    }
}

const NO_SUCH_CALL: Failure =
    Failure { status: StatusCode::NOT_FOUND, error: "no such call; it may have ended, see the call records" };
const BUSY: Failure = Failure {
    status: StatusCode::SERVICE_UNAVAILABLE,
    error: "the bridge is too busy or stopping; try again",
};
/// The signalling thread answers within a millisecond; this is for when it is gone.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
