/** Dark, light, or as the system says. */

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'bellwether.theme';

class Appearance {
  chosen = $state<Theme>(stored());
  dark = $state(false);

  choose(theme: Theme): void {
    this.chosen = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It then lasts until the page is closed.
    }
    this.apply();
  }

  apply(): void {
    this.dark = this.chosen === 'dark' || (this.chosen === 'system' && system.matches);
    document.documentElement.dataset['theme'] = this.dark ? 'dark' : 'light';
  }
}

const system = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme {
  try {
    const text = localStorage.getItem(KEY);
    return text === 'light' || text === 'dark' ? text : 'system';
  } catch {
    return 'system';
  }
}

export const appearance = new Appearance();
appearance.apply();
system.addEventListener('change', () => appearance.apply());

export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
