// The present time, for texts such as "2 minutes ago", and times as texts.
import { signal } from "@preact/signals";
import { language } from "../i18n.js";

/** The time in milliseconds; it advances every ten seconds. */
export const now = signal(Date.now());
window.setInterval(() => (now.value = Date.now()), 10_000);

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60]];

/**
 * Returns how long ago a time was.
 * @param {string} time
 */
export function ago(time) {
  const seconds = (now.value - Date.parse(time)) / 1000;
  const format = new Intl.RelativeTimeFormat(language.value, { numeric: "auto", style: "short" });
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return format.format(-Math.floor(seconds / length), unit);
  }
  return format.format(0, "second");
}

/**
 * Returns a time of day with its date.
 * @param {string} time
 */
export function exactTime(time) {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(time));
}

/**
 * Returns a duration such as 8.2 s, 1:05 or 2:00:09.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * Returns how long a job ran, in seconds; null before its end.
 * @param {{ started_at: string | null, finished_at: string | null }} job
 */
export function runTime(job) {
  if (!job.started_at || !job.finished_at) return null;
  return Math.max(0, (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000);
}
