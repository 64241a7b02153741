//! A table with titles over its columns, as all bills are. Remembers on which line of the text each row stands.

use csv::{ReaderBuilder, StringRecord};

use super::BillError;

/// How a form writes its table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Lines that begin with this are remarks.
    pub(super) remark: Option<char>,
    /// Every value begins with this, so that spreadsheets leave it alone; a value may then hold commas.
    pub(super) tick: Option<char>,
}

/// The rows of a text, with their lines.
#[derive(Debug)]
pub(super) struct Rows {
    /// Titles, as they stand.
    titles: Vec<String>,
    /// On which line the titles stand.
    titles_line: u64,
    /// Values of each row, and its line.
    pub(super) rows: Vec<(u64, Vec<String>)>,
}

/// A row that is being read by titles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    table: &'a Rows,
    line: u64,
    values: &'a [String],
}

impl Rows {
    /// Cuts a text into rows; the first one is the titles.
    pub(super) fn read(text: &str, style: Style) -> Result<Self, BillError> {
        let (body, lines) = kept(text, style.remark);
        let mut reader = ReaderBuilder::new();
        reader.has_headers(false).flexible(true).quoting(style.tick.is_none());
        let mut table = Self { titles: Vec::new(), titles_line: 1, rows: Vec::new() };
        let mut record = StringRecord::new();
        let mut reader = reader.from_reader(body.as_bytes());
        loop {
            let nth = usize::try_from(reader.position().line().saturating_sub(1)).unwrap_or(usize::MAX);
            let line = lines.get(nth).copied().unwrap_or(1);
            let more = reader
                .read_record(&mut record)
                .map_err(|error| BillError::new(line, "(row)", &error.to_string(), "must be a row of values"))?;
            if !more {
                return Ok(table);
            }
            if table.titles.is_empty() {
                table.titles = record.iter().map(title).collect();
                table.titles_line = line;
            } else {
                table.rows.push((line, values(&record, style.tick)));
            }
        }
    }

    /// That all of these columns are there.
    pub(super) fn need(&self, columns: &[&str]) -> Result<(), BillError> {
        match columns.iter().find(|column| !self.has(column)) {
            None => Ok(()),
            Some(missing) => {
                let first = self.titles.first().map_or("", String::as_str);
                let rule = "the column is missing: is this the right kind of bill?";
                Err(BillError::new(self.titles_line, missing, first, rule))
            }
        }
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.titles.iter().any(|title| title == column)
    }

    /// A row, if it has a value for each title.
    pub(super) fn row<'a>(&'a self, line: u64, values: &'a [String]) -> Result<Row<'a>, BillError> {
        if values.len() == self.titles.len() {
            return Ok(Row { table: self, line, values });
        }
        let rule = format!("must have {} values, one for each title", self.titles.len());
        Err(BillError::new(line, "(row)", &format!("{} values", values.len()), rule))
    }
}

impl<'a> Row<'a> {
    /// The value of a column; empty when there is no such column.
    pub(super) fn text(self, column: &str) -> &'a str {
        let at = self.table.titles.iter().position(|title| title == column);
        at.and_then(|at| self.values.get(at)).map_or("", String::as_str)
    }

    /// A value that must obey a rule.
    pub(super) fn value<T>(self, column: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, BillError> {
        let text = self.text(column);
        read(text).map_err(|rule| BillError::new(self.line, column, text, rule))
    }
}

/// A title without the forms it is written in: spaces, brackets of either width.
fn title(text: &str) -> String {
    text.trim().replace('（', "(").replace('）', ")")
}

/// The lines of a text that are no remarks and not empty, and which lines they were.
fn kept(text: &str, remark: Option<char>) -> (String, Vec<u64>) {
    let (mut body, mut lines) = (String::with_capacity(text.len()), Vec::new());
    for (line, number) in text.lines().zip(1_u64..) {
        let is_remark = remark.is_some_and(|remark| line.trim_start().starts_with(remark));
        if !is_remark && !line.trim().is_empty() {
            body.push_str(line);
            body.push('\n');
            lines.push(number);
        }
    }
    (body, lines)
}

/// The values of a row, without tick and space around them. What does not begin with the tick went on after a comma.
fn values(record: &StringRecord, tick: Option<char>) -> Vec<String> {
    let mut values: Vec<String> = Vec::with_capacity(record.len());
    for field in record {
        let Some(tick) = tick else {
            values.push(field.trim().to_owned());
            continue;
        };
        match (field.trim().strip_prefix(tick), values.last_mut()) {
            (Some(value), _) => values.push(value.to_owned()),
            (None, Some(last)) => {
                last.push(',');
                last.push_str(field.trim_end());
            }
            (None, None) => values.push(field.trim().to_owned()),
        }
    }
    values
}
