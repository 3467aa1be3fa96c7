// Where a name is written: of a profile, an experiment or an arm, which are spelled alike.
import { html } from "../ui.js";

const PATTERN = "[a-z0-9][a-z0-9._\\-]{0,63}";
const SPELLING = "a-z, 0-9, '.', '_' and '-', a letter or digit first";
const NAME = new RegExp(`^${PATTERN}$`);

export const isSpelledRight = (text) => NAME.test(text);

export const NameField = ({ value, onChange, readonly = false }) =>
  html`<label class="name">
    <span>Name</span>
    <input
      required
      maxlength="64"
      pattern=${PATTERN}
      title=${SPELLING}
      value=${value}
      readonly=${readonly}
      onInput=${(event) => onChange(event.target.value)}
    />
  </label>`;
