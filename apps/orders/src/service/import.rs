//! Importing many orders in one call.

use polywire::{Code, Receiver, Status};

use super::convert;
use super::shop::Shop;
use crate::domain::{Money, NewOrder};
use crate::proto::orders::v1::{CreateOrderRequest, ImportResult, ImportSummary};

/// Lines of one import. The summary has an entry for each, and its size is bounded by this.
const LINES_MAX: usize = 10_000;

impl Shop {
    /// Takes orders as they come, one after the other, and tells at the end what became of each.
    ///
    /// A line that is refused is noted and the rest goes on. What is not the line's fault ends the call: the rest would only
    /// meet it again.
    pub(super) async fn import_lines(
        &self,
        mut requests: Receiver<CreateOrderRequest>,
    ) -> Result<ImportSummary, Status> {
        let mut summary = ImportSummary::default();
        let mut total: Option<Money> = None;
        while let Some(request) = requests.next().await? {
            let number = summary.results.len() + 1;
            if number > LINES_MAX {
                return Err(Status::resource_exhausted(format!(
                    "an import takes {LINES_MAX} lines; they were taken, send the rest in another"
                )));
            }
            let mut result = ImportResult { line: i32::try_from(number).unwrap_or(i32::MAX), ..Default::default() };
            match self.import_line(&request).await {
                Ok((order, existing, price)) => {
                    result.order = order;
                    result.existing = existing;
                    if existing {
                        summary.existing += 1;
                        self.counters.import_lines.count_at("existing");
                    } else {
                        summary.created += 1;
                        self.counters.import_lines.count_at("created");
                        // Without a total if the lines are of several currencies.
                        total = Some(total.map_or(Ok(price), |total| total.plus(price)).unwrap_or(price));
                    }
                }
                Err(error) if is_the_lines_fault(error.code()) => {
                    result.code = error.code() as i32;
                    result.message = error.message().to_owned();
                    summary.refused += 1;
                    self.counters.import_lines.count_at("refused");
                }
                Err(error) => {
                    let message = format!("line {number}: {}; the lines before it were taken", error.message());
                    let details = error.details().to_vec();
                    return Err(details.into_iter().fold(Status::new(error.code(), message), Status::with_detail));
                }
            }
            summary.results.push(result);
        }
        summary.total = total.map(convert::money).into();
        Ok(summary)
    }

    async fn import_line(&self, request: &CreateOrderRequest) -> Result<(String, bool, Money), Status> {
        let lines = request.lines.iter().map(|line| (line.item.as_str(), line.quantity.into(), line.note.as_str()));
        let new = NewOrder::new(&request.customer, lines, &request.note, &request.idempotency_key)?;
        let placed = self.place(new).await?;
        Ok((placed.order.id.name(), placed.existing, placed.order.total))
    }
}

fn is_the_lines_fault(code: Code) -> bool {
    matches!(code, Code::AlreadyExists | Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound)
}
