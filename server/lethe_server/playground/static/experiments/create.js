// The form that begins an experiment.
import { Problem } from "../messages.js";
import { useFocusKept } from "../parts/focus.js";
import { useRows } from "../parts/latest.js";
import { NameField } from "../parts/name_field.js";
import { html, useState } from "../ui.js";
import * as calls from "./calls.js";

let count = 0;
const arm = (name, profile) => ({ key: (count += 1), name, profile, weight: 1 });

export function Create() {
  const [name, setName] = useState("");
  const [arms, setArms] = useState(() => [arm("control", "base"), arm("treated", "")]);
  const [control, setControl] = useState(() => arms[0].key);
  const [problem, setProblem] = useState(null);
  const { box, heir } = useFocusKept();
  const change = (key, changes) => setArms(arms.map((one) => (one.key === key ? { ...one, ...changes } : one)));
  const add = () => setArms([...arms, arm(`arm-${arms.length + 1}`, "")]);
  const remove = (key) => {
    const left = arms.filter((one) => one.key !== key);
    setArms(left);
    if (control === key) setControl(left[0].key);
  };
  const begin = async (event) => {
    event.preventDefault();
    const plan = { name, control: arms.find((one) => one.key === control).name };
    try {
      await calls.create({ ...plan, arms: arms.map(({ key, ...one }) => one) });
      location.hash = `#/experiments/${encodeURIComponent(name)}`;
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<section class="card" aria-labelledby="create-title">
    <h2 id="create-title">Begin an experiment</h2>
    <form class="create" ref=${box} onSubmit=${begin}>
      <${NameField} value=${name} onChange=${setName} />
      ${arms.map(
        (one, at) =>
          html`<${Arm}
            key=${one.key}
            arm=${one}
            number=${at + 1}
            share=${share(one, arms)}
            isControl=${one.key === control}
            change=${(changes) => change(one.key, changes)}
            becomeControl=${() => setControl(one.key)}
            remove=${arms.length > 2 ? () => remove(one.key) : null}
          />`,
      )}
      <${Profiles} />
      <div class="buttons">
        <button type="button" ref=${heir} onClick=${add}>Add an arm</button>
        <button class="primary">Begin</button>
      </div>
    </form>
    ${problem && html`<${Problem} text=${problem} />`}
    <p class="note">
      Arms cannot be changed afterwards. An arm of <code>NAME</code> follows the name when its profile is replaced; one
      of <code>NAME@DIGEST</code> does not.
    </p>
  </section>`;
}

/** The part of all units that an arm gets, in per cent; "" while weights are being written. */
function share({ weight }, arms) {
  const total = arms.reduce((sum, one) => sum + one.weight, 0);
  return total > 0 ? `${((100 * weight) / total).toFixed(0)} %` : "";
}

const Arm = ({ arm, number, share, isControl, change, becomeControl, remove }) =>
  html`<fieldset class="arm">
    <legend>Arm ${number}</legend>
    <${NameField} value=${arm.name} onChange=${(name) => change({ name })} />
    <label>
      <span>Profile</span>
      <input
        required
        list="profile-names"
        placeholder="base, or a profile"
        value=${arm.profile}
        onInput=${(event) => change({ profile: event.target.value })}
      />
    </label>
    <label class="weight">
      <span>Weight</span>
      <input
        required
        type="number"
        min="0.001"
        max="1000000"
        step="any"
        value=${arm.weight}
        onInput=${(event) => change({ weight: event.target.valueAsNumber })}
      />
    </label>
    <span class="share">${share}<span class="visually-hidden"> of all units</span></span>
    <label class="control">
      <input type="radio" name="control" checked=${isControl} onChange=${becomeControl} />
      <span>control</span>
    </label>
    ${
      remove &&
      html`<button type="button" class="quiet" aria-label=${`Remove arm ${number}`} onClick=${remove}>✕</button>`
    }
  </fieldset>`;

/** What may be chosen; where the key may not list, a profile is typed. */
function Profiles() {
  const { rows = [] } = useRows(calls.profiles);
  const names = ["base", ...rows.map((one) => one.id)];
  return html`<datalist id="profile-names">
    ${names.map((name) => html`<option key=${name} value=${name} />`)}
  </datalist>`;
}
