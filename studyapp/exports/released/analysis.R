# Rebuild this release's table of win rates from its data files, and fail where a number differs.
#
#     Rscript analysis.R [FOLDER]
#
# Base R for a release in CSV; jsonlite for JSONL, arrow for Parquet. Formulas as in README.md; nothing of analysis.py or
# of the program that made the release is used.

arguments <- commandArgs(trailingOnly = TRUE)
folder <- if (length(arguments)) arguments[1] else "."
tolerance <- 1e-9
shared_questions <- 5

stop_plainly <- function(...) {
  message(...)
  quit(status = 1)
}

need <- function(package) {
  if (!requireNamespace(package, quietly = TRUE)) stop_plainly("This needs the package ", package, ".")
}

# --- reading ---------------------------------------------------------------------------------------------------------
read_table <- function(name) {
  found <- list.files(file.path(folder, "data"), pattern = paste0("^description-", name, "_.*[.](csv|jsonl|parquet)$"))
  if (length(found) != 1) stop_plainly("data/ holds no file, or several, for ", name, ".")
  path <- file.path(folder, "data", found)
  if (grepl("[.]csv$", found)) {
    rows <- read.csv(path, na.strings = "NA", colClasses = "character", encoding = "UTF-8")
    for (flag in intersect(c("simulated", "a_is_first"), names(rows))) rows[[flag]] <- rows[[flag]] == "true"
    return(rows)
  }
  if (grepl("[.]jsonl$", found)) {
    need("jsonlite")
    return(jsonlite::stream_in(file(path), verbose = FALSE))
  }
  need("arrow")
  as.data.frame(arrow::read_parquet(path))
}

# --- estimates -------------------------------------------------------------------------------------------------------
# CR2 variance of a mean by cluster, and Satterthwaite degrees of freedom, in closed form.
clustered <- function(score, cluster) {
  size <- tapply(score, cluster, length)
  mean_of <- tapply(score, cluster, mean)
  share <- size / sum(size)
  rate <- sum(share * mean_of)
  u <- share^2 / (1 - share)
  list(
    variance = sum(u * (mean_of - rate)^2),
    df = 1 / (sum(share^2) + sum(u)^2 - sum(u^2)),
    means = mean_of
  )
}

by_cell <- function(score, person, question) {
  sums <- tapply(score - mean(score), paste(person, question, sep = "\r"), sum)
  length(sums) / (length(sums) - 1) * sum(sums^2) / length(score)^2
}

on_logit <- function(rate, variance, df, level) {
  error <- sqrt(variance) / (rate * (1 - rate))
  reach <- qt((1 + level) / 2, df) * error
  c(plogis(qlogis(rate) - reach), plogis(qlogis(rate) + reach), 2 * pt(-abs(qlogis(rate) / error), df))
}

exact <- function(rate, people, level) {
  won <- rate * people
  tail <- (1 - level) / 2
  low <- if (won <= 0) 0 else qbeta(tail, won, people - won + 1)
  high <- if (won >= people) 1 else qbeta(1 - tail, won + 1, people - won)
  p <- if (rate %in% c(0, 1)) 2 * 0.5^people else if (rate == 0.5) 1 else NA
  c(low, high, p)
}

estimate <- function(rows, level, interval) {
  score <- ifelse(rows$choice == "tie", 0.5, as.numeric((rows$choice == "first") == rows$a_is_first))
  people <- length(unique(rows$participant))
  wins <- sum(score == 1)
  losses <- sum(score == 0)
  found <- c(
    n_participants = people, n_judgments = length(score), n_questions = length(unique(rows$question)),
    wins = wins, ties = length(score) - wins - losses, losses = losses, win_rate = mean(score),
    win_rate_decisive = if (wins + losses) wins / (wins + losses) else NA
  )
  if (people < 2) return(found)
  one <- clustered(score, rows$participant)
  found["df"] <- one$df
  if (diff(range(one$means)) < 1e-12) {
    ends <- exact(one$means[[1]], people, level)
    found[c("se_cr2", "ci_low", "ci_high", "p_value")] <- c(0, ends)
    return(found)
  }
  ends <- on_logit(mean(score), one$variance, one$df, level)
  found[c("se_cr2", "ci_low", "ci_high", "p_value")] <- c(sqrt(one$variance), ends)
  askers <- tapply(rows$participant, rows$question, function(who) length(unique(who)))
  if (interval == "two_way" && sum(askers >= 2) >= shared_questions) {
    other <- clustered(score, rows$question)
    both <- max(
      one$variance + other$variance - by_cell(score, rows$participant, rows$question), one$variance, other$variance
    )
    ends <- on_logit(mean(score), both, min(one$df, other$df), level)
    found[c("ci_twoway_low", "ci_twoway_high", "p_twoway")] <- ends
  }
  found
}

# --- the table -------------------------------------------------------------------------------------------------------
manifest <- paste(readLines(file.path(folder, "manifest.json"), encoding = "UTF-8"), collapse = "\n")
if (grepl("\"blinded\": true", manifest, fixed = TRUE)) {
  cat("This release is blinded: there is no table of win rates yet.\n")
  quit(status = 0)
}
least <- regmatches(manifest, regexec("\"min_df\": ([0-9.]+)", manifest))[[1]]
least_df <- if (length(least)) as.numeric(least[2]) else NA
interval <- if (grepl("\"interval\": \"two_way\"", manifest, fixed = TRUE)) "two_way" else "participant"
wanted <- read.csv(file.path(folder, "results", "win_rates.csv"), na.strings = "NA", encoding = "UTF-8")
wanted <- wanted[wanted$analysis_set %in% c("itt", "itt_simulated") & wanted$scope %in% c("all", "domain"), ]
judgments <- read_table("judgments")
comparisons <- read_table("comparisons")
judgments <- judgments[judgments$kind == "arms", ]
comparisons <- comparisons[comparisons$kind == "arms", ]

of_row <- function(rows, row) {
  here <- rows$simulated == (row$analysis_set == "itt_simulated") & rows$arm_a == row$focal & rows$arm_b == row$baseline
  if (row$scope == "domain") here <- here & rows$domain == row$scope_value
  rows[here, ]
}

names_checked <- c(
  "n_participants", "n_judgments", "n_questions", "wins", "ties", "losses", "n_planned", "n_void", "win_rate",
  "win_rate_decisive", "se_cr2", "df", "ci_low", "ci_high", "p_value", "ci_twoway_low", "ci_twoway_high", "p_twoway"
)
failed <- 0
for (number in seq_len(nrow(wanted))) {
  row <- wanted[number, ]
  plan <- of_row(comparisons, row)
  rows <- of_row(judgments, row)
  found <- c(n_planned = nrow(plan), n_void = sum(plan$state == "void"))
  if (nrow(rows)) {
    found <- c(estimate(rows, row$ci_level, interval), found)
    too_few <- !is.na(least_df) && "df" %in% names(found) && found[["df"]] < least_df
    if (row$scope != "all" || too_few) found[c("p_value", "p_twoway")] <- NA
  } else {
    found <- c(
      n_participants = 0, n_judgments = 0, n_questions = 0, wins = 0, ties = 0, losses = 0, found
    )
  }
  cat(sprintf("%s: %s > %s %s\n", row$analysis_set, row$focal, row$baseline, if (row$scope == "all") "" else row$scope_value))
  for (name in names_checked) {
    said <- as.numeric(row[[name]])
    value <- if (name %in% names(found)) found[[name]] else NA
    same <- if (is.na(said) || is.na(value)) is.na(said) && is.na(value) else abs(said - value) <= tolerance
    if (!same) {
      failed <- failed + 1
      cat(sprintf("  DIFFERS: %s is %s, the data give %s\n", name, format(said, digits = 15), format(value, digits = 15)))
    }
  }
}
cat(if (failed) "The table differs from the data.\n" else sprintf("All %d rows agree with the data.\n", nrow(wanted)))
quit(status = if (failed) 1 else 0)
