//! The routes of uploaded adaptors.

use http::StatusCode;
use serde_json::json;

use super::{
    OWN,
    adaptors::{self, Wanted},
    signers, source,
    upload::{self, NewVersion, Version},
};
use crate::{
    api::{
        error::ErrorKind as E,
        openapi::{About, Api, Components, List, Thing, named},
    },
    tenants::Rollout,
};

const OK: StatusCode = StatusCode::OK;

pub(super) fn routes(api: Api) -> Api {
    let all = About::admin("The adaptors of a tenant").pages();
    let one = About::admin("Which versions of an adaptor get tasks").tagged();
    let gone = About::admin("Delete an adaptor with all its versions").writes().conditional();
    let versions_about = About::admin("The versions of an adaptor, oldest first");
    let rollout =
        About::admin("Send tasks to a version").takes(named::<Wanted>).writes().fails(&[E::RolloutRefused]);
    let rollback =
        About::admin("End a trial, or go back to the version before").writes().fails(&[E::RolloutRefused]);
    let path = format!("{OWN}/adaptors/{{name}}");
    let now = named::<Thing<Rollout>>;
    api.get(
        &format!("{OWN}/adaptors"),
        adaptors::list,
        all.answers(OK, "A page of them.", named::<List<Thing<Rollout>>>),
    )
    .get(&path, adaptors::read, one.answers(OK, "They.", now))
    .delete(&path, adaptors::delete, gone.answers_as(StatusCode::NO_CONTENT, "It is gone.", &[]))
    .get(
        &format!("{path}/versions"),
        adaptors::versions,
        versions_about.answers(OK, "All of them.", named::<List<Thing<Version<'_>>>>),
    )
    .post(&format!("{path}/versions"), upload::upload, about_upload())
    .post(&format!("{path}/rollout"), adaptors::roll_out, rollout.answers(OK, "What is now.", now).tagged())
    .post(
        &format!("{path}/rollback"),
        adaptors::roll_back,
        rollback.answers(OK, "What is now.", now).tagged(),
    )
}

fn about_upload() -> About {
    let release =
        json!({ "type": "string", "pattern": "^(live|hold|canary:[1-9][0-9]?)$", "default": "live" });
    let component = |_: &mut Components| json!({ "description": "A WebAssembly component, as it is." });
    let signature = json!({ "type": "string", "description": "One in base64; the header may be repeated." });
    About::admin("Upload a version, or have it pulled: it passes the gate, and gets tasks")
        .takes_as("application/wasm", component)
        .takes(named::<source::Wanted>)
        .parameter("header", signers::HEADER, "Who made it, where the tenant has signers.", signature)
        .parameter("query", "release", "Whether all, none or some tasks go to it.", release)
        .parameter("query", "config", "A JSON object: what it is examined with.", json!({ "type": "string" }))
        .answers(StatusCode::CREATED, "It passed, and is stored.", named::<NewVersion<'_>>)
        .writes()
        .fails(&[E::AdaptorRefused, E::PullFailed, E::TenantQuota, E::RolloutRefused])
}
