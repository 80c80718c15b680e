//! Bodies in protobuf, which `kubectl create` and `helm` send for the kinds that they are built
//! with. Only what they send is understood; anything else is refused, as it would be lost.
//! See <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::status::{ApiError, Result};

/// What a body in this encoding begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The fields of each message: its name in JSON, its number and its type. `s` is a string, `i` a
/// number, `b` a flag, `y` bytes, `t` a time, `q` a quantity, `-` what a writer does not set, and
/// anything else a message. Before the type, `*` is a list, `%` a map from strings, `^` a message
/// whose fields are the outer one's own, and `?` a value that counts also where it is zero.
const MESSAGES: &[(&str, &str)] = &[
    (
        "Unknown",
        "typeMeta=1TypeMeta raw=2y contentEncoding=3s contentType=4s",
    ),
    ("TypeMeta", "apiVersion=1s kind=2s"),
    (
        "ObjectMeta",
        "name=1s generateName=2s namespace=3s selfLink=4s uid=5s resourceVersion=6s generation=7i \
         creationTimestamp=8t deletionTimestamp=9t deletionGracePeriodSeconds=10?i labels=11%s \
         annotations=12%s ownerReferences=13*OwnerReference finalizers=14*s managedFields=17-",
    ),
    (
        "OwnerReference",
        "kind=1s name=3s uid=4s apiVersion=5s controller=6?b blockOwnerDeletion=7?b",
    ),
    ("Namespace", "metadata=1ObjectMeta spec=2- status=3-"),
    (
        "Secret",
        "metadata=1ObjectMeta data=2%y type=3s stringData=4%s immutable=5?b",
    ),
    (
        "ConfigMap",
        "metadata=1ObjectMeta data=2%s binaryData=3%y immutable=4?b",
    ),
    ("ServiceAccount", "metadata=1ObjectMeta"),
    ("Job", "metadata=1ObjectMeta spec=2JobSpec status=3-"),
    (
        "JobSpec",
        "parallelism=1?i completions=2?i activeDeadlineSeconds=3?i selector=4LabelSelector \
         manualSelector=5?b template=6PodTemplate backoffLimit=7?i ttlSecondsAfterFinished=8?i \
         completionMode=9s suspend=10?b",
    ),
    ("LabelSelector", "matchLabels=1%s"),
    ("PodTemplate", "metadata=1ObjectMeta spec=2PodSpec"),
    ("Pod", "metadata=1ObjectMeta spec=2PodSpec status=3-"),
    (
        "PodSpec",
        "volumes=1*Volume containers=2*Container restartPolicy=3s \
         terminationGracePeriodSeconds=4?i activeDeadlineSeconds=5?i dnsPolicy=6s \
         nodeSelector=7%s serviceAccountName=8s serviceAccount=9s nodeName=10s hostNetwork=11b \
         hostPID=12b hostIPC=13b securityContext=14PodSecurity imagePullSecrets=15*Name hostname=16s \
         subdomain=17s schedulerName=19s initContainers=20*Container",
    ),
    (
        "PodSecurity",
        "runAsUser=2?i runAsNonRoot=3?b fsGroup=5?i runAsGroup=6?i",
    ),
    ("Volume", "name=1s ^=2VolumeSource"),
    (
        "VolumeSource",
        "emptyDir=2Nothing secret=6SecretVolume persistentVolumeClaim=10ClaimVolume \
         configMap=19ConfigMapVolume",
    ),
    ("Nothing", "medium=1s"),
    (
        "SecretVolume",
        "secretName=1s items=2*Item defaultMode=3?i optional=4?b",
    ),
    ("ClaimVolume", "claimName=1s readOnly=2b"),
    (
        "ConfigMapVolume",
        "^=1Name items=2*Item defaultMode=3?i optional=4?b",
    ),
    ("Item", "key=1s path=2s mode=3?i"),
    ("Name", "name=1s"),
    (
        "Container",
        "name=1s image=2s command=3*s args=4*s workingDir=5s ports=6*Port env=7*Variable \
         resources=8Resources volumeMounts=9*Mount terminationMessagePath=13s imagePullPolicy=14s \
         stdin=16b stdinOnce=17b tty=18b envFrom=19*Source terminationMessagePolicy=20s",
    ),
    (
        "Port",
        "name=1s hostPort=2i containerPort=3i protocol=4s hostIP=5s",
    ),
    ("Variable", "name=1s value=2s valueFrom=3Reference"),
    (
        "Reference",
        "fieldRef=1FieldReference configMapKeyRef=3KeyReference secretKeyRef=4KeyReference",
    ),
    ("FieldReference", "apiVersion=1s fieldPath=2s"),
    ("KeyReference", "^=1Name key=2s optional=3?b"),
    ("Resources", "limits=1%q requests=2%q"),
    (
        "Mount",
        "name=1s readOnly=2b mountPath=3s subPath=4s mountPropagation=5s subPathExpr=6s",
    ),
    (
        "Source",
        "prefix=1s configMapRef=2SourceReference secretRef=3SourceReference",
    ),
    ("SourceReference", "^=1Name optional=2?b"),
    (
        "SelfSubjectAccessReview",
        "metadata=1ObjectMeta spec=2AccessReviewSpec status=3-",
    ),
    ("AccessReviewSpec", "resourceAttributes=1ResourceAttributes"),
    (
        "ResourceAttributes",
        "namespace=1s verb=2s group=3s version=4s resource=5s subresource=6s name=7s",
    ),
    (
        "DeleteOptions",
        "gracePeriodSeconds=1?i preconditions=2Preconditions orphanDependents=3?b \
         propagationPolicy=4s dryRun=5*s",
    ),
    ("Preconditions", "uid=1s resourceVersion=2s"),
];

/// The object in a body.
///
/// # Errors
/// 415, as for an unknown encoding: a kind or a field is not known, or this is no protobuf.
pub(super) fn decode(body: &[u8]) -> Result<Value> {
    let refuse = |why: String| {
        let message = format!("the body of the request was in an unknown format: {why}");
        ApiError::new(415, "UnsupportedMediaType", message)
    };
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| refuse("no magic number".into()))?;
    let envelope = message("Unknown", envelope).map_err(refuse)?;
    let meta = &envelope["typeMeta"];
    let kind = meta["kind"].as_str().unwrap_or_default();
    let raw = STANDARD.decode(envelope["raw"].as_str().unwrap_or_default());
    let mut object = message(kind, &raw.unwrap_or_default()).map_err(refuse)?;
    object["kind"] = meta["kind"].clone();
    object["apiVersion"] = meta["apiVersion"].clone();
    Ok(object)
}

/// One field as it is sent.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn message(name: &str, mut bytes: &[u8]) -> Result<Value, String> {
    let fields = MESSAGES.iter().find(|(known, _)| *known == name);
    let (_, fields) = fields.ok_or_else(|| format!("message {name} is not known"))?;
    let mut object = Map::new();
    while !bytes.is_empty() {
        let (number, wire) = next(&mut bytes)?;
        let field = fields.split_whitespace().find_map(|field| {
            let (name, rest) = field.split_once('=')?;
            let digits = rest.len()
                - rest
                    .trim_start_matches(|it: char| it.is_ascii_digit())
                    .len();
            (rest[..digits].parse() == Ok(number)).then(|| (name, &rest[digits..]))
        });
        match (field, wire) {
            (Some((field, kind)), _) => set(&mut object, field, kind, wire)?,
            // A writer sends some fields also where it does not set them.
            (None, Wire::Number(0) | Wire::Bytes([])) => {}
            (None, _) => return Err(format!("field {number} of {name} is not known")),
        }
    }
    Ok(Value::Object(object))
}

fn set(object: &mut Map<String, Value>, field: &str, kind: &str, wire: Wire) -> Result<(), String> {
    if let Some(kind) = kind.strip_prefix('*') {
        let list = object.entry(field).or_insert_with(|| json!([]));
        let item = value(kind, wire)?;
        list.as_array_mut()
            .into_iter()
            .for_each(|list| list.push(item.clone()));
    } else if let Some(kind) = kind.strip_prefix('%') {
        let (key, item) = entry(kind, wire)?;
        object.entry(field).or_insert_with(|| json!({}))[key] = item;
    } else if let Some(kind) = kind.strip_prefix('?') {
        object.insert(field.to_owned(), value(kind, wire)?);
    } else if kind != "-" {
        let value = value(kind, wire)?;
        let inner = value.as_object();
        if field == "^" {
            object.extend(inner.cloned().unwrap_or_default());
        } else if !is_zero(&value) || (inner.is_some() && kind != "t") {
            object.insert(field.to_owned(), value);
        }
    }
    Ok(())
}

/// What a writer sends for a field that it does not set.
fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Null) || *value == "" || *value == 0 || *value == false
}

fn value(kind: &str, wire: Wire) -> Result<Value, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match (kind, wire) {
        // Numbers are sent as if they had no sign.
        ("i", Wire::Number(number)) => json!(number.cast_signed()),
        ("b", Wire::Number(number)) => json!(number != 0),
        ("s", Wire::Bytes(bytes)) => json!(text(bytes)),
        ("y", Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        ("q", Wire::Bytes(mut bytes)) => match next(&mut bytes)? {
            (1, Wire::Bytes(quantity)) => json!(text(quantity)),
            _ => return Err("this is no quantity".to_owned()),
        },
        ("t", Wire::Bytes([])) => Value::Null,
        ("t", Wire::Bytes(mut bytes)) => match next(&mut bytes)? {
            (1, Wire::Number(seconds)) => {
                let time = Timestamp::from_second(seconds.cast_signed());
                json!(clock::format(time.map_err(|error| error.to_string())?))
            }
            _ => return Err("this is no time".to_owned()),
        },
        (name, Wire::Bytes(bytes)) => message(name, bytes)?,
        (kind, Wire::Number(_)) => return Err(format!("a number is no {kind}")),
    })
}

/// An entry of a map: its key in field 1, its value in field 2.
fn entry(kind: &str, wire: Wire) -> Result<(String, Value), String> {
    let Wire::Bytes(mut bytes) = wire else {
        return Err("a number is no map".to_owned());
    };
    let (mut key, mut item) = (String::new(), json!(""));
    while !bytes.is_empty() {
        match next(&mut bytes)? {
            (1, wire) => key = value("s", wire)?.as_str().unwrap_or_default().to_owned(),
            (_, wire) => item = value(kind, wire)?,
        }
    }
    Ok((key, item))
}

/// Takes one field off the bytes.
fn next<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Wire<'a>), String> {
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).unwrap_or(usize::MAX);
            let taken = bytes.split_at_checked(length);
            let (taken, rest) = taken.ok_or("it ends too early")?;
            *bytes = rest;
            Wire::Bytes(taken)
        }
        other => return Err(format!("wire type {other} is not known")),
    };
    Ok((tag >> 3, wire))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("it ends too early")?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".to_owned())
}
