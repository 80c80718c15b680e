//! Jobs of many pods, each with a number
//! (<https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>).

use std::num::NonZeroU32;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::k8s::pods::phase;

/// The exit codes of `rebuild` that say that another try would end the same way: what was asked is
/// wrong, or refused.
const FINAL: [u8; 2] = [2, 3];

/// How often one number is tried again, unless the manifest says it.
const TRIES_AGAIN: u32 = 3;

/// The most pods whose logs are all followed.
const FOLLOWED: usize = 50;

/// Makes the `spec` of a Job one of `count` numbered pods. If one number fails for good, so does the
/// Job, at once; a pod that its node had to give up does not count as a try. One that ends with a code that
/// says that it is of no use is not tried again.
pub(super) fn set(spec: &mut Value, count: NonZeroU32) {
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(count);
    spec["parallelism"] = json!(count);
    // What follows is only taken with this.
    spec["template"]["spec"]["restartPolicy"] = json!("Never");
    if spec["backoffLimit"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        spec["backoffLimitPerIndex"] = json!(TRIES_AGAIN);
        spec["maxFailedIndexes"] = json!(0);
    }
    if spec["podFailurePolicy"].is_null() {
        // https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
        spec["podFailurePolicy"] = json!({ "rules": [
            {
                "action": "Ignore",
                "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
            },
            {
                "action": "FailJob",
                "onExitCodes": { "operator": "In", "values": FINAL },
            },
        ]});
    }
}

/// The pods whose logs are followed: all of a few, and of many those that have failed.
pub(super) fn to_follow(pods: &[Pod]) -> Vec<Pod> {
    let few = pods.len() <= FOLLOWED;
    let follow = |pod: &&Pod| few || phase(pod) == "Failed";
    pods.iter().filter(follow).take(FOLLOWED).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");

    #[test]
    fn what_the_manifest_says_of_tries_is_kept() {
        let mut spec = json!({ "template": { "spec": { "restartPolicy": "OnFailure" } } });
        set(&mut spec, THREE);
        assert_eq!(spec["completionMode"], "Indexed");
        assert_eq!(
            (&spec["completions"], &spec["parallelism"]),
            (&json!(3), &json!(3))
        );
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        assert_eq!(spec["backoffLimitPerIndex"], TRIES_AGAIN);
        assert_eq!(spec["maxFailedIndexes"], 0);

        let mut spec = json!({ "backoffLimit": 9, "podFailurePolicy": { "rules": [] } });
        set(&mut spec, THREE);
        assert_eq!(spec["backoffLimitPerIndex"], Value::Null);
        assert_eq!(spec["maxFailedIndexes"], Value::Null);
        assert_eq!(spec["podFailurePolicy"], json!({ "rules": [] }));
    }
}
