//! The clients of one thread, one for each ComfyUI.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use comfy_runner_client::Client;
use indexmap::IndexMap;

use crate::jobs::Jobs;

/// Clients of the ComfyUIs of a [`Jobs`], for one thread. A clone shares their connections. They follow the settings:
/// a ComfyUI that was added has a client, and one that was removed has none.
#[derive(Clone)]
pub struct Clients {
    jobs: Jobs,
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The generation of the settings that `clients` are of.
    generation: Cell<u64>,
    clients: RefCell<IndexMap<Arc<str>, (u64, Client)>>,
}

impl Clients {
    /// Creates the clients of a thread. Each is made when it is first needed.
    pub fn new(jobs: &Jobs) -> Self {
        Self { jobs: jobs.clone(), shared: Rc::default() }
    }

    /// Returns the client of a ComfyUI, or `None` if there is no ComfyUI with this name.
    pub fn get(&self, name: &str) -> Option<Client> {
        self.update();
        self.shared.clients.borrow().get(name).map(|(_, client)| client.clone())
    }

    /// Returns the clients of all ComfyUIs, in the order of the settings.
    pub fn all(&self) -> Vec<(Arc<str>, Client)> {
        self.update();
        let clients = self.shared.clients.borrow();
        clients.iter().map(|(name, (_, client))| (Arc::clone(name), client.clone())).collect()
    }

    /// Makes clients for the present settings.
    fn update(&self) {
        let generation = self.jobs.pool_generation();
        if self.shared.generation.replace(generation) == generation {
            return;
        }
        let settings: Vec<_> = {
            let state = self.jobs.lock();
            state.pool.members().map(|member| (member.settings.clone(), member.generation)).collect()
        };
        let mut clients = self.shared.clients.borrow_mut();
        let mut before = std::mem::take(&mut *clients);
        for (settings, generation) in settings {
            let known = before.swap_remove(&settings.name).filter(|(of, _)| *of == generation);
            let client = match known {
                Some((_, client)) => client,
                None => match Client::new(settings.client) {
                    Ok(client) => client,
                    // `Jobs::set_comfyuis` has made a client with the same settings.
                    Err(error) => {
                        tracing::error!(%error, comfyui = &*settings.name, "no client can be made");
                        continue;
                    }
                },
            };
            clients.insert(settings.name, (generation, client));
        }
    }
}
