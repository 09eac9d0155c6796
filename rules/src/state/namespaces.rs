//! Who uses which namespace of secrets, since when.
//!
//! In: the pairs as they come, go and move. Out: for each namespace (see the SQL function `namespace_of`) and principal,
//! the first UTC day of use. The index says nothing that the pairs do not say; it is made anew from them where one is
//! forgotten, joined or renamed.

use keytrail_lake::functions::namespace_of;
use keytrail_model::arn;

use super::{Id, State, rows::day_of};

impl State {
    /// The namespace that a secret's name puts it in.
    pub(crate) fn namespace(&self, secret: Id) -> Option<&str> {
        let known = self.secrets.get(&secret).and_then(|secret| secret.name.as_deref());
        namespace_of(known.or_else(|| arn::secret_name(self.ids.text(secret)))?)
    }

    /// Notes a use on a day.
    pub(super) fn note_namespace(&mut self, secret: Id, principal: Id, day: i32) {
        let Some(namespace) = self.namespace(secret).map(str::to_owned) else { return };
        let namespace = self.values.of(&namespace);
        let first = self.namespace_readers.entry((namespace, principal)).or_insert(day);
        *first = day.min(*first);
    }

    /// Looks at a principal's pairs again, after one of them came into a namespace or left it.
    pub(super) fn recount_namespace(&mut self, namespace: &str, principal: Id) {
        let keys = self.pairs_by_principal.range((principal, Id::MIN)..=(principal, Id::MAX));
        let inside = keys.filter(|(_, secret)| self.namespace(*secret) == Some(namespace));
        let pairs = inside.filter_map(|&(principal, secret)| self.pairs.get(&(secret, principal)));
        let first = pairs.map(|pair| day_of(pair.first_read_at)).min();
        let key = (self.values.of(namespace), principal);
        match first {
            Some(day) => self.namespace_readers.insert(key, day),
            None => self.namespace_readers.remove(&key),
        };
    }

    /// Who uses a secret.
    pub(super) fn readers_of(&self, secret: Id) -> Vec<Id> {
        self.pairs.range((secret, Id::MIN)..=(secret, Id::MAX)).map(|(key, _)| key.1).collect()
    }
}
