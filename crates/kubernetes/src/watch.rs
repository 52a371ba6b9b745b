//! Watching of Jobs and Pods: one watch of each for all attempts of this process in a namespace.
//!
//! A watch is resumed where it ended. If the API server does not have that place any more, everything is
//! listed again, and what is missing in the list is gone. Only attempts of this process are kept, as
//! a few words each.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::status;
use crate::job::REGISTRY_LABEL;
use crate::pod::{self, PodView};

/// Label of a Pod with the name of its Job; the older one, which every cluster has.
const JOB_LABEL: &str = "job-name";
/// Status of an answer that the place to resume at is gone.
const GONE: u16 = 410;
/// Seconds after which the API server ends a watch, which is then resumed.
const WATCH_SECONDS: u32 = 240;
/// Objects in one page of a list.
const PAGE: u32 = 500;
/// First wait before another watch after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait before another watch.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// View of the Job of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobView {
    /// Pods of the Job by their unique ids; one that was deleted stays as it was, and is in `gone`.
    pub(crate) pods: BTreeMap<String, PodView>,
    /// Unique ids of Pods that were deleted.
    pub(crate) gone: Vec<String>,
    /// Reason of a Job that has failed.
    pub(crate) failure: Option<String>,
    /// Presence of the Job.
    pub(crate) job: JobPresence,
    /// True if no Pod of the Job was there when all Pods were listed.
    pub(crate) is_listed_without_pod: bool,
}

/// Presence of a Job in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JobPresence {
    /// The Job was not seen yet.
    #[default]
    Unseen,
    /// The Job is in the cluster.
    There,
    /// The Job was deleted.
    Deleted,
}

/// Views by the names of their Jobs.
type Views = Arc<Mutex<BTreeMap<String, watch::Sender<JobView>>>>;

/// Watches of this process, by namespace.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<String, Weak<NamespaceWatch>>>);

/// Watch of a namespace; ends with its last subscription.
#[derive(Debug)]
struct NamespaceWatch {
    views: Views,
    _tasks: JoinSet<()>,
}

/// Subscription to the view of one Job.
#[derive(Debug)]
pub(crate) struct JobSubscription {
    name: String,
    watch: Arc<NamespaceWatch>,
    view: watch::Receiver<JobView>,
}

impl Watches {
    /// Subscribes to a Job. Has to be called before the Job is made, or adopted.
    pub(crate) fn subscribe(
        &self,
        (client, namespace, registry): (&Client, &str, &str),
        name: String,
    ) -> JobSubscription {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = watches.get(namespace).and_then(Weak::upgrade).unwrap_or_else(|| {
            let watch = Arc::new(NamespaceWatch::new(client, namespace, registry));
            watches.insert(namespace.to_owned(), Arc::downgrade(&watch));
            watch
        });
        let (tell, view) = watch::channel(JobView::default());
        locked(&watch.views).insert(name.clone(), tell);
        JobSubscription { name, watch, view }
    }
}

impl JobSubscription {
    /// Returns the view as it is now.
    pub(crate) fn now(&mut self) -> JobView {
        self.view.borrow_and_update().clone()
    }

    /// Waits until the view has changed.
    pub(crate) async fn changed(&mut self) {
        if self.view.changed().await.is_err() {
            // The sender lives as long as this.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for JobSubscription {
    fn drop(&mut self) {
        locked(&self.watch.views).remove(&self.name);
    }
}

fn locked(views: &Views) -> MutexGuard<'_, BTreeMap<String, watch::Sender<JobView>>> {
    views.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NamespaceWatch {
    fn new(client: &Client, namespace: &str, registry: &str) -> Self {
        let views = Views::default();
        let mut tasks = JoinSet::new();
        let selector = format!("{REGISTRY_LABEL}={registry}");
        tasks.spawn(keep_up::<Pod>(
            Api::namespaced(client.clone(), namespace),
            selector.clone(),
            Arc::clone(&views),
        ));
        tasks.spawn(keep_up::<Job>(
            Api::namespaced(client.clone(), namespace),
            selector,
            Arc::clone(&views),
        ));
        Self { views, _tasks: tasks }
    }
}

/// Kind of object that is watched.
trait Watched: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    /// Returns the name of the object's Job.
    fn job(&self) -> Option<String>;

    /// Notes the object in the view of its Job.
    fn note(&self, view: &mut JobView);

    /// Notes that the object is gone.
    fn note_gone(&self, view: &mut JobView);

    /// Notes what is missing in a full list. `listed` are the unique ids in it.
    fn note_missing(view: &mut JobView, listed: &[String], is_listed: bool);
}

impl Watched for Pod {
    fn job(&self) -> Option<String> {
        self.labels().get(JOB_LABEL).cloned()
    }

    fn note(&self, view: &mut JobView) {
        if let Some(seen) = pod::view(self) {
            view.pods.insert(seen.uid.clone(), seen);
        }
    }

    fn note_gone(&self, view: &mut JobView) {
        self.note(view);
        view.gone.extend(self.uid());
    }

    fn note_missing(view: &mut JobView, listed: &[String], is_listed: bool) {
        view.is_listed_without_pod = !is_listed;
        let known: Vec<String> = view.pods.keys().cloned().collect();
        let missing = known.into_iter().filter(|uid| !listed.contains(uid));
        let missing: Vec<String> = missing.filter(|uid| !view.gone.contains(uid)).collect();
        view.gone.extend(missing);
    }
}

impl Watched for Job {
    fn job(&self) -> Option<String> {
        self.metadata.name.clone()
    }

    fn note(&self, view: &mut JobView) {
        view.job = JobPresence::There;
        view.failure = pod::job_failure(self);
    }

    fn note_gone(&self, view: &mut JobView) {
        self.note(view);
        view.job = JobPresence::Deleted;
    }

    fn note_missing(view: &mut JobView, _: &[String], is_listed: bool) {
        if view.job == JobPresence::There && !is_listed {
            view.job = JobPresence::Deleted;
        }
    }
}

/// Changes the view of a Job, if it is one of this process; wakes only if something has changed.
fn change(views: &Views, job: &str, how: impl FnOnce(&mut JobView)) {
    if let Some(tell) = locked(views).get(job) {
        tell.send_if_modified(|view| {
            let before = view.clone();
            how(view);
            *view != before
        });
    }
}

/// Keeps the views up to date, for as long as the task lives.
async fn keep_up<K: Watched>(api: Api<K>, selector: String, views: Views) {
    let mut place: Option<String> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let from = match place.take() {
            Some(from) => Ok(from),
            None => list(&api, &selector, &views).await,
        };
        if let Ok(from) = from {
            let (reached, failed) = follow(&api, &selector, &views, from).await;
            place = reached;
            if !failed {
                pause = FIRST_PAUSE;
                continue;
            }
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Lists everything; returns the place from which to watch.
async fn list<K: Watched>(
    api: &Api<K>,
    selector: &str,
    views: &Views,
) -> Result<String, kube::Error> {
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let page = api.list(&params).await?;
        for object in &page.items {
            if let Some(job) = object.job() {
                change(views, &job, |view| object.note(view));
                listed.entry(job).or_default().extend(object.uid());
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            let known: Vec<String> = locked(views).keys().cloned().collect();
            for job in known {
                let uids = listed.get(&job);
                let all = uids.cloned().unwrap_or_default();
                change(views, &job, |view| K::note_missing(view, &all, uids.is_some()));
            }
            return Ok(page.metadata.resource_version.unwrap_or_default());
        }
    }
}

/// Watches from a place on until the watch ends. Returns the place to resume at, `None` if everything
/// has to be listed again, and true if the watch failed.
async fn follow<K: Watched>(
    api: &Api<K>,
    selector: &str,
    views: &Views,
    from: String,
) -> (Option<String>, bool) {
    let params = WatchParams::default().labels(selector).timeout(WATCH_SECONDS);
    let events = match api.watch(&params, &from).await {
        Ok(events) => events,
        Err(error) => return (Some(from).filter(|_| status(&error) != Some(GONE)), true),
    };
    let mut events = std::pin::pin!(events);
    let mut place = from;
    while let Some(event) = events.next().await {
        let (object, is_gone) = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, false),
            Ok(WatchEvent::Deleted(object)) => (object, true),
            Ok(WatchEvent::Bookmark(bookmark)) => {
                place = bookmark.metadata.resource_version;
                continue;
            }
            Ok(WatchEvent::Error(error)) => {
                return (Some(place).filter(|_| error.code != GONE), true);
            }
            Err(_) => return (Some(place), true),
        };
        place = object.resource_version().unwrap_or(place);
        if let Some(job) = object.job() {
            change(
                views,
                &job,
                |view| if is_gone { object.note_gone(view) } else { object.note(view) },
            );
        }
    }
    (Some(place), false)
}
