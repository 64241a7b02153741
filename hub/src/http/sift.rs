//! A page of the rows that are asked for, out of a list that the store pages as a whole.

use std::future::Future;

use store::money::{Page, StoreError};

use crate::limits::{PAGE_LEN_MAX, SIFT_READS_MAX};

/// What to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sift {
    /// It is asked for.
    Keep,
    /// It is not.
    Skip,
    /// Neither it nor any row after it.
    Stop,
}

/// Reads on until `max` rows are kept, the list ends, or [`SIFT_READS_MAX`] pages were read: then the page is short, and
/// its cursor leads on. `fetch` takes a cursor and how many rows at most.
pub(crate) async fn sift<T, F, Fut>(
    cursor: Option<&str>,
    max: usize,
    judge: impl Fn(&T) -> Sift,
    fetch: F,
) -> Result<Page<T>, StoreError>
where
    F: Fn(Option<String>, usize) -> Fut,
    Fut: Future<Output = Result<Page<T>, StoreError>>,
{
    let (mut kept, mut cursor) = (Vec::new(), cursor.map(str::to_owned));
    for _ in 0..SIFT_READS_MAX {
        let mut page = fetch(cursor.clone(), PAGE_LEN_MAX).await?;
        let room = max.saturating_sub(kept.len());
        let wanted = page.items.iter().enumerate().filter(|(_, row)| judge(row) == Sift::Keep);
        let fills = wanted.map(|(index, _)| index.saturating_add(1)).nth(room.saturating_sub(1));
        if let Some(rows) = fills.filter(|rows| *rows < page.items.len()) {
            // The store's cursor stands after the last row it gave: that shall be the one that fills the page.
            page = fetch(cursor.clone(), rows).await?;
        }
        for row in page.items {
            match judge(&row) {
                Sift::Keep => kept.push(row),
                Sift::Skip => {}
                Sift::Stop => return Ok(Page { items: kept, next_cursor: None }),
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() || kept.len() >= max {
            break;
        }
    }
    Ok(Page { items: kept, next_cursor: cursor })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The numbers from 0 up to `end`, paged as the store does: the cursor is the first number not given.
    #[allow(clippy::unused_async, reason = "it stands for a store, which is asked asynchronously")]
    async fn numbers(end: usize, cursor: Option<String>, max: usize) -> Result<Page<usize>, StoreError> {
        let from: usize = cursor.map_or(0, |text| text.parse().unwrap());
        let to = end.min(from + max);
        Ok(Page { items: (from..to).collect(), next_cursor: (to < end).then(|| to.to_string()) })
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap_and_end_where_the_list_ends() {
        for (end, every, max) in
            [(0, 1, 5), (1_200, 1, 7), (1_200, 400, 2), (1_200, 7, 500), (501, 500, 1), (90, 1000, 3)]
        {
            let judge = |n: &usize| if n.is_multiple_of(every) { Sift::Keep } else { Sift::Skip };
            let (mut all, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let page = sift(cursor.as_deref(), max, judge, |at, n| numbers(end, at, n)).await.unwrap();
                assert!(page.items.len() <= max);
                all.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(all, (0..end).step_by(every).collect::<Vec<_>>(), "{end} {every} {max}");
        }
    }

    #[tokio::test]
    async fn a_stop_ends_the_list_and_a_long_search_ends_the_page() {
        let until = |n: &usize| if *n < 3 { Sift::Keep } else { Sift::Stop };
        let page = sift(None, 10, until, |at, n| numbers(10_000, at, n)).await.unwrap();
        assert_eq!((page.items, page.next_cursor), (vec![0, 1, 2], None));

        let reads = Cell::new(0);
        let page = sift(
            None,
            10,
            |_| Sift::Skip,
            |at, n| {
                reads.set(reads.get() + 1);
                numbers(usize::MAX, at, n)
            },
        );
        let page = page.await.unwrap();
        assert_eq!((page.items.len(), reads.get()), (0, SIFT_READS_MAX));
        assert!(page.next_cursor.is_some(), "whoever wants more asks again");
    }
}
