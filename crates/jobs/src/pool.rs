//! The ComfyUIs that jobs run on, and what is known of each: pure state.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use comfy_runner_client::{ObjectInfoCache, SharedObjectInfo};
use comfy_runner_scheduler::WarmModels;
use indexmap::IndexMap;

use crate::comfyui::ComfyUi;
use crate::remote_state::UnsupportedRoutes;

/// The ComfyUIs, by name, in the order of the settings.
#[derive(Default)]
pub(crate) struct Pool {
    members: IndexMap<Arc<str>, Member>,
    /// Grows with each change of the settings.
    generation: u64,
    /// Grows when a ComfyUI may have got other node types or models.
    schemas: u64,
    /// The names of those that are to get no more jobs, also while they are not among the members.
    draining: HashSet<String>,
    /// The node schemas that several of them have in common.
    shared_schemas: Arc<SharedObjectInfo>,
    /// The names of all.
    names: Arc<[Arc<str>]>,
    /// Lists of some of them that jobs share, the one that was used last at the end.
    lists: VecDeque<Arc<[Arc<str>]>>,
}

/// The number of lists of ComfyUIs that are remembered, so that jobs share them.
const LISTS: usize = 16;

/// A ComfyUI and what is known of it.
pub(crate) struct Member {
    /// Its settings.
    pub settings: ComfyUi,
    /// The pool's generation in which it got them.
    pub generation: u64,
    /// Whether it can be reached.
    pub connection: Connection,
    /// Whether it is to get no more jobs.
    pub draining: bool,
    /// The last error of a request to it, or the reason why its connection was lost. It names no address.
    pub last_error: Option<String>,
    /// The models that it has in memory after the prompts that it was given, as far as known.
    pub warm: WarmModels,
    /// The places that are kept for jobs which are being recorded.
    pub reserved: usize,
    /// Whether jobs of the queue are being sent to it.
    pub sending: bool,
    /// It did not answer, and gets no jobs of the queue until then.
    pub paused_until: Option<Instant>,
    /// The jobs that were given to another ComfyUI while this one could not be reached. It must not run them any more.
    pub abandoned: Vec<String>,
    /// The routes that it does not have.
    pub unsupported: Arc<UnsupportedRoutes>,
    /// Its node schemas.
    pub schemas: Arc<ObjectInfoCache>,
}

/// Whether a ComfyUI can be reached, by its WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    /// What the WebSocket is.
    pub state: ConnectionState,
    /// Since when.
    pub since: Instant,
}

/// The state of the WebSocket to a ComfyUI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// It was never open, and no attempt has failed yet.
    New,
    /// It is open.
    Open,
    /// It was lost, or cannot be opened.
    Lost,
}

impl Member {
    fn new(settings: ComfyUi, generation: u64, shared: &Arc<SharedObjectInfo>) -> Self {
        Self {
            warm: WarmModels::new(settings.models),
            settings,
            generation,
            connection: Connection { state: ConnectionState::New, since: Instant::now() },
            draining: false,
            last_error: None,
            reserved: 0,
            sending: false,
            paused_until: None,
            abandoned: Vec::new(),
            unsupported: Arc::default(),
            schemas: Arc::new(ObjectInfoCache::sharing(Arc::clone(shared))),
        }
    }

    /// Returns whether it is known to answer and takes jobs.
    pub fn is_usable(&self) -> bool {
        let is_paused = self.paused_until.is_some_and(|until| Instant::now() < until);
        self.is_connected() && !self.draining && !is_paused
    }

    /// Returns whether its WebSocket is open.
    pub fn is_connected(&self) -> bool {
        self.connection.state == ConnectionState::Open
    }

    /// Returns the number of further prompts that it may get if it has `given` of ours.
    pub fn room(&self, given: usize) -> usize {
        self.settings.depth.saturating_sub(given.saturating_add(self.reserved))
    }

    /// Notes that the WebSocket was opened or lost.
    pub fn set_connected(&mut self, open: bool) {
        let state = if open { ConnectionState::Open } else { ConnectionState::Lost };
        if self.connection.state != state {
            self.connection = Connection { state, since: Instant::now() };
        }
        if !open {
            // It may have been restarted.
            self.warm.clear();
        }
    }
}

impl Pool {
    /// Replaces the settings. A ComfyUI whose settings are new starts anew; what is known of the others stays.
    pub fn set(&mut self, comfyuis: Vec<ComfyUi>) {
        self.generation += 1;
        self.schemas += 1;
        let mut before = std::mem::take(&mut self.members);
        for settings in comfyuis {
            let name = Arc::clone(&settings.name);
            let member = match before.swap_remove(&name) {
                Some(mut known) if known.settings.client == settings.client => {
                    if known.settings.models != settings.models {
                        known.warm = WarmModels::new(settings.models);
                    }
                    known.settings = settings;
                    known
                }
                _ => Member::new(settings, self.generation, &self.shared_schemas),
            };
            let member = Member { draining: self.draining.contains(&*name), ..member };
            self.members.insert(name, member);
        }
        self.names = self.members.keys().cloned().collect();
        self.lists.clear();
    }

    /// Returns the names of the ComfyUIs that have these tags, in the order of the settings.
    pub fn with_tags(&mut self, tags: &[String]) -> Arc<[Arc<str>]> {
        if tags.is_empty() {
            return Arc::clone(&self.names);
        }
        let members = self.members.values().filter(|member| member.settings.has_tags(tags));
        let names = members.map(|member| Arc::clone(&member.settings.name)).collect();
        self.share(names)
    }

    /// Returns a list with these names, that of earlier jobs if they had the same.
    pub fn share(&mut self, names: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        if *names == *self.names {
            return Arc::clone(&self.names);
        }
        let known = self.lists.iter().position(|known| **known == *names);
        let list = known.and_then(|known| self.lists.remove(known)).unwrap_or_else(|| names.into());
        if self.lists.len() == LISTS {
            self.lists.pop_front();
        }
        self.lists.push_back(Arc::clone(&list));
        list
    }

    /// Sets whether the ComfyUI with this name is to get no more jobs, also if it is not among the members now.
    pub fn set_draining(&mut self, name: &str, draining: bool) {
        match draining {
            true => self.draining.insert(name.to_owned()),
            false => self.draining.remove(name),
        };
        if let Some(member) = self.members.get_mut(name) {
            member.draining = draining;
        }
    }

    /// Returns a number that grows with each change of the settings.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns a number that grows when a ComfyUI may have got other node types or models.
    pub fn schemas(&self) -> u64 {
        self.schemas
    }

    /// Notes that a ComfyUI may have got other node types or models.
    pub fn schemas_changed(&mut self) {
        self.schemas += 1;
    }

    /// Returns the ComfyUIs.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Returns the ComfyUI with this name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// Returns the ComfyUI with this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Member> {
        self.members.get_mut(name)
    }

    /// Returns the number of ComfyUIs.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the name of the ComfyUI that has a job whose record names this one, or none. Records of earlier versions name
    /// none; and where there is only one ComfyUI, it may have been renamed.
    pub fn owner(&self, recorded: Option<&str>) -> Option<Arc<str>> {
        let known = recorded.and_then(|name| self.members.get_key_value(name));
        let (name, _) = match known {
            Some(known) => known,
            None if recorded.is_none() || self.members.len() == 1 => self.members.first()?,
            None => return None,
        };
        Some(Arc::clone(name))
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_client::Config;

    use super::*;

    fn comfyui(name: &str, port: u16) -> ComfyUi {
        ComfyUi::new(name, Config::new(format!("http://127.0.0.1:{port}").parse().unwrap())).unwrap()
    }

    fn pool(comfyuis: &[(&str, u16)]) -> Pool {
        let mut pool = Pool::default();
        pool.set(comfyuis.iter().map(|(name, port)| comfyui(name, *port)).collect());
        pool
    }

    #[test]
    fn what_is_known_of_a_comfyui_stays_unless_it_is_reached_in_another_way() {
        let mut pool = pool(&[("a", 1), ("b", 2)]);
        for name in ["a", "b"] {
            pool.get_mut(name).unwrap().set_connected(true);
            pool.set_draining(name, true);
        }
        pool.set(vec![comfyui("c", 3), comfyui("a", 1).with_depth(5), comfyui("b", 9)]);
        let seen: Vec<_> = pool
            .members()
            .map(|member| {
                (&*member.settings.name, member.is_connected(), member.draining, member.settings.depth)
            })
            .collect();
        assert_eq!(seen, [("c", false, false, 2), ("a", true, true, 5), ("b", false, true, 2)]);
        pool.set(vec![comfyui("c", 3)]);
        pool.set(vec![comfyui("a", 1), comfyui("c", 3)]);
        let draining: Vec<_> = pool.members().map(|member| member.draining).collect();
        assert_eq!(draining, [true, false], "it was removed for a while");
    }

    #[test]
    fn a_record_without_a_name_is_of_the_first_comfyui_and_one_of_a_removed_comfyui_of_none() {
        let two = pool(&[("a", 1), ("b", 2)]);
        let owner = |pool: &Pool, name| pool.owner(name).map(|name| name.to_string());
        assert_eq!(owner(&two, None).as_deref(), Some("a"));
        assert_eq!(owner(&two, Some("b")).as_deref(), Some("b"));
        assert_eq!(owner(&two, Some("gone")), None);
        assert_eq!(owner(&pool(&[("a", 1)]), Some("renamed")).as_deref(), Some("a"));
    }

    #[test]
    fn jobs_that_the_same_comfyuis_can_run_share_the_list() {
        let mut pool = pool(&[("a", 1), ("b", 2), ("c", 3)]);
        let list =
            |pool: &mut Pool, names: &[&str]| pool.share(names.iter().map(|name| (*name).into()).collect());
        let all = pool.with_tags(&[]);
        assert_eq!(all.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(Arc::ptr_eq(&all, &list(&mut pool, &["a", "b", "c"])));
        let some = list(&mut pool, &["a", "c"]);
        (0..LISTS - 1).for_each(|number| drop(list(&mut pool, &[&number.to_string()])));
        assert!(Arc::ptr_eq(&some, &list(&mut pool, &["a", "c"])));
        (0..LISTS).for_each(|number| drop(list(&mut pool, &[&format!("x{number}")])));
        assert!(!Arc::ptr_eq(&some, &list(&mut pool, &["a", "c"])));
        assert!(pool.with_tags(&["gpu".to_owned()]).is_empty());
    }

    #[test]
    fn places_that_are_kept_are_not_free() {
        let mut pool = pool(&[("a", 1)]);
        let member = pool.get_mut("a").unwrap();
        assert_eq!((member.room(0), member.room(1), member.room(7)), (2, 1, 0));
        member.reserved = 1;
        assert_eq!((member.room(0), member.room(1)), (1, 0));
    }
}
