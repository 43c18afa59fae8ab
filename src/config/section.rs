//! A section: a table of a file, with the settings in it; the sections together are the schema of a file.
//!
//! A section is declared once, as a struct with `section!`. The schema is plain data: the reader of files, the
//! command line, the documents and a reload walk it, and none of them has a list of its own. A section can be a list of
//! tables (`[[name]]`), which only a file can hold: the command line shows sections that occur once.

use super::setting::{Applies, Setting};
use super::tables::{Given, GivenInTable, TableKey};
use super::value::{Field, ValueError};

/// A table of a file.
#[derive(Debug)]
pub struct Section {
    /// Name of the table; empty for the settings above all tables.
    pub name: &'static str,
    /// Lines of the doc comment: what its settings have in common.
    pub help: &'static [&'static str],
    /// How often it occurs.
    pub occurs: Occurs,
    /// Its settings, in the order of the documents.
    pub settings: &'static [Setting],
    /// Settings of another section that it may have too. What it leaves out has the value that they have there.
    pub inherits: &'static [Setting],
}

/// How often a section occurs in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occurs {
    /// At most once: `[name]`.
    Once,
    /// Any number of times: `[[name]]`.
    Repeated,
}

impl Occurs {
    /// Returns the heading of a section of this name that occurs like this.
    pub fn heading(self, name: &str) -> String {
        match self {
            Self::Once => format!("[{name}]"),
            Self::Repeated => format!("[[{name}]]"),
        }
    }
}

/// All sections of a file.
pub type Schema = &'static [Section];

impl Section {
    /// Returns the heading as a file has it: `[name]` or `[[name]]`.
    pub fn heading(&self) -> String {
        self.occurs.heading(self.name)
    }

    /// Returns the setting with this key.
    pub fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().chain(self.inherits).find(|setting| setting.key == key)
    }
}

/// Returns the settings that a command line can hold: those of sections that occur once.
pub fn single_settings(schema: Schema) -> impl Iterator<Item = (&'static Section, &'static Setting)> {
    let once = schema.iter().filter(|section| section.occurs == Occurs::Once);
    once.flat_map(|section| section.settings.iter().map(move |setting| (section, setting)))
}

/// Returns the first of some lists of settings, an empty one if there is none.
pub const fn first(lists: &[&'static [Setting]]) -> &'static [Setting] {
    match lists {
        [first, ..] => first,
        [] => &[],
    }
}

/// A value that does not fit its setting.
#[derive(Clone, Debug)]
pub struct FieldError {
    /// The setting.
    pub setting: &'static Setting,
    /// What is wrong with its value.
    pub error: ValueError,
    /// The table that it stands in, or is missing from.
    pub table: Option<TableKey>,
}

/// Reads a field of a section.
///
/// # Errors
///
/// [`FieldError`] when its text is not a value.
pub fn read_field<T: Field>(setting: &'static Setting, given: &dyn Given) -> Result<T, FieldError> {
    let texts = given.texts(setting).iter().map(|text| setting.plain(text)).collect::<Result<Vec<_>, _>>();
    texts.and_then(|texts| T::read(&texts)).map_err(|error| FieldError { setting, error, table: None })
}

/// Reads the tables of a list.
///
/// # Errors
///
/// [`FieldError`] of the first table that lacks a key.
pub fn read_tables<T>(
    section: &Section,
    given: &dyn Given,
    read: fn(&dyn Given) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    let tables = given.tables(section.name);
    let read = |(number, table)| {
        read(&GivenInTable { table, inherited: section.inherits, outside: given })
            .map_err(|error| error.in_table(section.name, number))
    };
    tables.into_iter().enumerate().map(read).collect()
}

impl FieldError {
    /// Returns the error of a field of this table.
    pub(super) fn in_table(self, section: &'static str, number: usize) -> Self {
        Self { table: Some(TableKey { section, number, key: self.setting.key }), ..self }
    }
}

/// Checks that the value of a field is in range.
///
/// # Errors
///
/// [`FieldError`] when it is not.
pub fn check_field<T: Field>(setting: &'static Setting, field: &T) -> Result<(), FieldError> {
    setting.kind.check(field.quantity()).map_err(|error| FieldError { setting, error, table: None })
}

/// Takes the value of a field from before a reload if a change of it needs a restart.
pub fn keep_field<T: Clone>(setting: &Setting, field: &mut T, old: &T) {
    if setting.applies == Applies::Restart {
        field.clone_from(old);
    }
}

/// Declares a section: its struct, and what is known of each field as a [`Setting`].
///
/// ```text
/// section! {
///     /// What the settings have in common.
///     pub struct NameConfig in "name" (Once) {
///         /// What the setting is, and what happens at the limit.
///         ///
///         /// Why, and when to change it.
///         key: Type = kind, default, Applies;
///     }
/// }
/// ```
///
/// Type, unit, default and the time when a change applies are positions of the declaration: one that is left out does
/// not compile. `with { field: Section, }` adds other sections as fields, `lists { field: Section, }` lists of tables.
/// `inherits { field: Section, }` adds the settings of a section that is declared elsewhere to the tables of a list.
macro_rules! section {
    // What only sections that occur once have.
    (@ Once $($item:item)+) => { $($item)+ };
    (@ Repeated $($item:item)+) => {};
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Name:ident in $name:literal ($Occurs:ident) {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $Type:ty = $kind:expr, $default:expr, $Applies:ident;
            )+
        }
        $(inherits { $(#[doc = $shared_about:literal])+ $shared:ident: $Shared:ty, })?
        $(with { $($(#[doc = $part_about:literal])+ $part:ident: $Part:ty,)+ }
        lists { $($(#[doc = $list_about:literal])+ $list:ident: $Table:ty,)* })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        $vis struct $Name {
            $($(#[doc = $help])+ $vis $field: $Type,)+
            $($(#[doc = $shared_about])+ $vis $shared: $Shared,)?
            $($($(#[doc = $part_about])+ $vis $part: $Part,)+
            $($(#[doc = $list_about])+ $vis $list: Vec<$Table>,)*)?
        }

        impl $Name {
            /// The declarations of the fields, in order.
            $vis const SETTINGS: &'static [$crate::config::setting::Setting; [$(stringify!($field)),+].len()] =
                &[$($crate::config::setting::Setting {
                    key: stringify!($field),
                    help: &[$($help),+],
                    kind: $kind,
                    default: $default,
                    applies: $crate::config::setting::Applies::$Applies,
                    parse: <$Type as $crate::config::value::Field>::check,
                }),+];

            /// The declaration of the section.
            $vis const SECTION: $crate::config::section::Section = $crate::config::section::Section {
                name: $name,
                help: &[$($about),+],
                occurs: $crate::config::section::Occurs::$Occurs,
                settings: Self::SETTINGS,
                inherits: $crate::config::section::first(&[$(<$Shared>::SETTINGS)?]),
            };

            $(
                /// The declarations of this section, of those that are fields of it, and of lists.
                $vis const SCHEMA: $crate::config::section::Schema =
                    &[Self::SECTION, $(<$Part>::SECTION,)+ $(<$Table>::SECTION,)*];
            )?

            /// Reads all fields.
            pub(super) fn read(
                given: &dyn $crate::config::tables::Given,
            ) -> Result<Self, $crate::config::section::FieldError> {
                let [$($field),+] = Self::SETTINGS;
                Ok(Self {
                    $($field: $crate::config::section::read_field($field, given)?,)+
                    $($shared: <$Shared>::read(given)?,)?
                    $($($part: <$Part>::read(given)?,)+
                    $($list: $crate::config::section::read_tables(&<$Table>::SECTION, given, <$Table>::read)?,)*)?
                })
            }

            /// Checks that all fields are in range.
            pub(super) fn check_ranges(&self) -> Result<(), $crate::config::section::FieldError> {
                let [$($field),+] = Self::SETTINGS;
                $($crate::config::section::check_field($field, &self.$field)?;)+
                $(self.$shared.check_ranges()?;)?
                $($(self.$part.check_ranges()?;)+
                $(for (number, table) in self.$list.iter().enumerate() {
                    table.check_ranges().map_err(|error| error.in_table(<$Table>::SECTION.name, number))?;
                })*)?
                Ok(())
            }

            section! { @ $Occurs
                /// Takes the values that change only with a restart from before a reload. Lists are replaced as a
                /// whole.
                pub(super) fn keep_until_restart(&mut self, old: &Self) {
                    let [$($field),+] = Self::SETTINGS;
                    $($crate::config::section::keep_field($field, &mut self.$field, &old.$field);)+
                    $($(self.$part.keep_until_restart(&old.$part);)+)?
                }
            }
        }
    };
}

pub(super) use section;
